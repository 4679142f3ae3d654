//! ssh2 for node, beyond what the matrix has.

use whelk_tests::{Access, Call, Client, Gateway, Input, MIB};

#[test]
fn ssh2_carries_all_bytes_both_ways() {
    let gateway = Gateway::demonstration();
    let call = |command: &str| Call::new(Client::Ssh2, &gateway, "probe").exec(command);
    let up = call("sink").run(Input::Generated(16 * MIB));
    assert_eq!(up.status, Some(0), "{}", up.err);
    assert_eq!(up.out.text(), format!("{} {}\n", 16 * MIB, up.fed.expect("all of it was read")));
    let both = call("cat").run(Input::Generated(8 * MIB));
    assert_eq!(both.status, Some(0), "{}", both.err);
    assert_eq!(Some(digest(&both.out.kept)), both.fed, "{} bytes came back", both.out.total);
    gateway.end();
}

fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

// ssh2 tries `none` first, then what it has.
#[test]
fn ssh2_logs_in_to_an_open_user_whatever_it_has() {
    let gateway = Gateway::demonstration();
    for access in [Access::Nothing, Access::password("any"), Access::fresh_key().0] {
        let finished = Call::new(Client::Ssh2, &gateway, "probe").access(access).exec("exit 5").run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{}", finished.err);
    }
    gateway.end();
}
