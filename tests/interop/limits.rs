//! Limits where users know OpenSSH's.

use whelk_tests::{Call, Client, Gateway, Input, Running, SOON};

// As on CI machines, whose `ssh_config` says `SendEnv *`. OpenSSH asks for no replies.
#[test]
fn nine_hundred_variables_in_a_burst_do_no_harm() {
    let gateway = Gateway::demonstration();
    let call = Call::new(Client::OpenSsh100, &gateway, "probe").option("-oSendEnv=CI_*").exec("exit 5");
    let mut command = call.command();
    command.envs((0..900).map(|number| (format!("CI_{number}"), "value")));
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();
}
