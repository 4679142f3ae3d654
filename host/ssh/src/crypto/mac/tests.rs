//! The table of MACs; their values are tested with the ciphers.

use super::*;

#[test]
fn names_lead_to_their_macs_and_no_other_name_does() {
    for mac in Mac::ALL {
        assert_eq!(Mac::from_name(mac.name()), Some(mac));
        assert_eq!(mac.encrypts_first(), mac.name().ends_with("-etm@openssh.com"));
    }
    for unknown in ["", "none", "hmac-sha1", "hmac-md5", "HMAC-SHA2-256", "hmac-sha2-256-etm", "umac-64@openssh.com"] {
        assert_eq!(Mac::from_name(unknown), None);
    }
}

#[test]
fn keys_and_tags_have_the_lengths_of_rfc_6668() {
    for (mac, len) in Mac::ALL.into_iter().zip([32, 64, 32, 64]) {
        assert_eq!((mac.key_len(), mac.tag_len()), (len, len));
        assert!(mac.key(&vec![1; len - 1]).is_err() && mac.key(&vec![1; len + 1]).is_err());
        let key = mac.key(&vec![1; len]).unwrap();
        assert!(key.write(0, b"packet", &mut vec![0; len - 1]).is_err());
    }
}

#[test]
fn a_tag_fits_one_packet_at_one_place() {
    for mac in Mac::ALL {
        let key = mac.key(&vec![1; mac.key_len()]).unwrap();
        let mut tag = vec![0; mac.tag_len()];
        key.write(7, b"packet", &mut tag).unwrap();
        assert!(key.verify(7, b"packet", &tag).is_ok());
        assert!(key.verify(8, b"packet", &tag).is_err() && key.verify(7, b"packer", &tag).is_err());
        for at in 0..tag.len() {
            let mut wrong = tag.clone();
            wrong[at] ^= 0x80;
            assert!(key.verify(7, b"packet", &wrong).is_err(), "{mac:?} {at}");
            // RFC 2104 §5 allows shorter tags, RFC 4253 does not.
            assert!(key.verify(7, b"packet", &tag[..at]).is_err());
        }
        assert!(key.verify(7, b"packet", &[&tag[..], &[0]].concat()).is_err());
    }
}
