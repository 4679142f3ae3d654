//! The generated bindings of the host's interfaces.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package whelk:hostile;
        world attacker {
            include whelk:ssh/session-plugin@0.1.0;
            export whelk:ssh/timer-handler@0.1.0;
            export whelk:ssh/drain-handler@0.1.0;
            export whelk:ssh/break-handler@0.1.0;
            export whelk:ssh/request-handler@0.1.0;
        }
    ",
    world: "whelk:hostile/attacker",
    generate_all,
});
