//! A rejection reveals nothing: not whether a name is a user's, and not whether it fits a pattern.

use std::time::Duration;

use tokio::time::Instant;
use whelk_ssh::crypto::key::HostKey;

use crate::client::{Told, Visitor, asked};
use crate::decisions::HASH;
use crate::place::{DOOR, Place};

/// What one name is told, and after which time.
async fn rejections(visitor: &mut Visitor, key: &HostKey) -> Vec<(Told, Duration)> {
    let mut told = Vec::new();
    for step in 0..7 {
        let began = Instant::now();
        let heard = match step {
            0 => visitor.none().await,
            1 => visitor.offer(key).await,
            2 => visitor.prove(key).await,
            3 => visitor.password("wrong").await,
            4 => visitor.new_password("wrong", "other").await,
            5 => visitor.interactive().await,
            _ => visitor.answer("wrong").await,
        };
        told.push((heard, began.elapsed()));
    }
    told
}

/// U30, U31: one name, as a user of the configuration, as one that fits a pattern, and as nobody's.
#[tokio::test]
async fn a_rejection_is_the_same_for_a_user_for_a_pattern_and_for_nobody() {
    let key = HostKey::generate().unwrap();
    let user =
        |name: &str| format!("users.{name} = {{ plugin = \"script\", password = \"{HASH}\", keys = [{KEY:?}] }}\n");
    let door = |users: &str| {
        DOOR.replace("\"*\"", &format!("{users:?}")).replace("config = { interactive = \"ask Well? \" }", "")
    };
    let places = [
        Place::new(&format!("{}{}", user("alice"), door("*@door"))).await,
        Place::new(&format!("{}{}", user("bob"), door("ali*"))).await,
        Place::new(&format!("{}{}", user("bob"), door("*@door"))).await,
    ];
    // From here on the clock moves only when everything waits for it.
    tokio::time::pause();
    let mut all = Vec::new();
    for place in &places {
        all.push(rejections(&mut place.connect("alice"), &key).await);
    }
    let [user, pattern, nobody] = all.try_into().unwrap();
    assert_eq!(user, nobody);
    assert_eq!(pattern, nobody);
    let (least, most) = (Duration::from_millis(5), Duration::from_millis(11));
    for (told, time) in &nobody {
        assert!((least..most).contains(time), "{nobody:?}");
        if !matches!(told, Told::Refused(_)) {
            assert_eq!(told, &asked("", "Password: "));
        }
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
