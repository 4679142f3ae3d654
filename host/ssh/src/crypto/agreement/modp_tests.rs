//! Diffie-Hellman modulo a prime against another library, and with numbers out of range.

use num_bigint::BigUint;

use super::*;

/// 2^n - 2^(n - 64) - 1 + 2^64 * (floor(2^(n - 130) * pi) + k), the definition of the primes in RFC 3526, with pi from
/// Machin's formula.
fn prime(bits: u32, k: u32) -> BigUint {
    let one = BigUint::from(1_u32);
    let guard = 64;
    let unit = &one << (bits - 130 + guard);
    let arctan_of_inverse = |x: u32| {
        let (mut term, mut divisor, mut sums) = (&unit / x, 1_u32, [BigUint::ZERO, BigUint::ZERO]);
        while term != BigUint::ZERO {
            sums[usize::from(divisor % 4 == 3)] += &term / divisor;
            term /= x * x;
            divisor += 2;
        }
        let [added, subtracted] = sums;
        added - subtracted
    };
    let pi = (arctan_of_inverse(5) * 16_u32 - arctan_of_inverse(239) * 4_u32) >> guard;
    (&one << bits) - (&one << (bits - 64)) - &one + ((pi + k) << 64)
}

fn groups() -> [(Agreement, BigUint, usize); 2] {
    [
        (Agreement::ModP(Group::Group14), prime(2048, 124_476), 256),
        (Agreement::ModP(Group::Group16), prime(4096, 240_904), 512),
    ]
}

/// The body of an `mpint`.
fn mpint(number: &BigUint) -> Vec<u8> {
    let digits = number.to_bytes_be();
    if digits[0] >= 0x80 { [&[0], &digits[..]].concat() } else { digits }
}

#[test]
fn both_roles_agree_with_another_library() {
    for (agreement, prime, _) in groups() {
        for round in 1..=10_u8 {
            let private = BigUint::from_bytes_be(&[round; 64]);
            let share = mpint(&BigUint::from(2_u32).modpow(&private, &prime));
            let (server_share, secret) = agreement.respond(&share).unwrap();
            let expected = BigUint::from_bytes_be(&server_share).modpow(&private, &prime);
            assert_eq!(secret.encoded(), SharedSecret::mpint(&expected.to_bytes_be()).encoded());

            let (initiator, client_share) = agreement.initiate().unwrap();
            let expected = BigUint::from_bytes_be(&client_share).modpow(&private, &prime);
            let secret = initiator.finish(&share).unwrap();
            assert_eq!(secret.encoded(), SharedSecret::mpint(&expected.to_bytes_be()).encoded());
        }
    }
}

/// K28: `0`, `1`, `p - 1`, `p`, what is larger, negative, or not the one form of an `mpint`.
#[test]
fn numbers_out_of_range_and_in_another_form_are_refused() {
    for (agreement, prime, len) in groups() {
        let share = |number: BigUint| mpint(&number);
        let good = share(prime.clone() - 2_u32);
        let mut bad = vec![
            vec![],
            vec![0],
            vec![1],
            vec![0, 1],
            vec![0, 0x7f],
            vec![0, 0, 0x80],
            vec![0x80],
            vec![0xff; len],
            share(prime.clone() - 1_u32),
            share(prime.clone()),
            share(prime.clone() + 1_u32),
            share(prime.clone() * 2_u32),
            [&[0], &[0xff; 4096][..]].concat(),
            vec![2; 34_000],
            // Negative: the first bit is a sign.
            good[1..].to_vec(),
            [&[0], &good[..]].concat(),
        ];
        bad.push([&[1], &vec![0; len][..]].concat());
        for share in bad {
            assert!(matches!(agreement.respond(&share), Err(BadShare)), "{agreement:?} {:02x?}", share.get(..9));
            let (initiator, _) = agreement.initiate().unwrap();
            assert!(matches!(initiator.finish(&share), Err(BadShare)));
        }
        for fine in [vec![2], vec![0, 0x80], good] {
            assert!(agreement.respond(&fine).is_ok());
        }
    }
}

#[test]
fn every_exchange_has_its_own_numbers() {
    let mut seen = std::collections::HashSet::new();
    for (agreement, ..) in groups() {
        for _ in 0..20 {
            let (_, client_share) = agreement.initiate().unwrap();
            let (server_share, _) = agreement.respond(&client_share).unwrap();
            assert!(seen.insert(client_share) && seen.insert(server_share));
        }
    }
}
