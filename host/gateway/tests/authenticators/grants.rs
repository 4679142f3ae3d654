//! What may be granted, and what sessions get of it.

use crate::client::{Told, refused};
use crate::log::heard;
use crate::place::{DOOR, Place};

/// Tenants beside `acme`, one with a plugin of its own.
const MORE: &str = r#"
[tenants.other]
plugin = "script"
"#;

#[tokio::test]
async fn a_grant_that_cannot_be_used_is_a_refusal_that_says_what_to_change() {
    let place = Place::new(&format!("{MORE}{}", DOOR.replace("[\"acme\"]", "[\"acme\", \"default\"]"))).await;
    for (grant, reason) in [
        ("other script", "it grants the tenant \"other\", and may grant \"acme\", \"default\": add the tenant"),
        ("nobody script", "it grants the tenant \"nobody\", and may grant"),
        ("acme -", "without a plugin, and the tenant has none: add plugin = \"NAME\" to [tenants.acme]"),
        ("acme echo", "it grants the plugin \"echo\", which the tenant \"acme\" does not have: put"),
        ("acme ../plugins/script", "it grants the plugin \"../plugins/script\", which"),
        (
            "acme doorman",
            "it grants the plugin \"doorman\", which is of the world authenticator-plugin and serves no sessions",
        ),
        ("acme script b*d=1", "its answer cannot be used: the name of attribute"),
        ("acme script calls=2", "its answer cannot be used: attribute calls is granted twice"),
    ] {
        // A line is logged of each authenticator once in a while, so each has a gateway of its own.
        let place = if grant == "other script" { &place } else { &Place::new(&format!("{MORE}{DOOR}")).await };
        let mut visitor = place.connect("a");
        assert_eq!(visitor.password(&format!("accept {grant}")).await, refused(), "{grant}");
        let heard = heard(visitor.number);
        assert!(heard.iter().any(|heard| heard.contains(reason)), "{grant}: {heard:?}");
        assert_eq!(visitor.password("accept acme script").await, Told::LoggedIn, "and another one is none");
    }
}

/// The account of a user of the configuration is that user's alone.
#[tokio::test]
async fn a_principal_that_is_a_user_of_the_tenant_is_a_refusal() {
    let bob = "[users.bob]\nplugin = \"script\"\nauth = \"none\"\ntenant = \"acme\"\n";
    let place = Place::new(&format!("{MORE}{}{bob}", DOOR.replace("[\"acme\"]", "[\"acme\", \"other\"]"))).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.password("accept acme script as=bob").await, refused());
    let heard = heard(visitor.number);
    let reason = "it grants the principal \"bob\" of the tenant \"acme\", and [users.bob] is a user of that tenant";
    assert!(heard.iter().any(|heard| heard.contains(reason)), "{heard:?}");
    assert_eq!(visitor.password("accept other script as=bob").await, Told::LoggedIn);
}

#[tokio::test]
async fn sessions_are_of_the_tenant_and_the_plugin_and_know_account_and_attributes() {
    let door = DOOR.replace("[\"acme\"]", "[\"acme\", \"other\"]");
    let place = Place::new(&format!("{MORE}{door}")).await;
    for (grant, tenant) in [("acme script", "acme"), ("other -", "other")] {
        let mut visitor = place.connect("a@door");
        assert_eq!(visitor.password(&format!("accept {grant} as=bob team=blue x.y_z-1=")).await, Told::LoggedIn);
        let facts = visitor.run("facts;finish 0").await;
        for fact in [
            "user=a@door",
            "principal=bob",
            &format!("tenant={tenant}"),
            "attr.team=blue",
            "attr.x.y_z-1=",
            "attr.as=bob",
        ] {
            assert!(facts.lines().any(|line| line == fact), "{fact}: {facts}");
        }
        assert!(heard(visitor.number).contains(&"a@door is bob".to_owned()));
    }
}

/// Limits of a user count the account and not the name that was typed.
#[tokio::test]
async fn an_account_has_one_limit_under_all_its_names() {
    let door =
        DOOR.replace("[tenants.acme]", "[tenants.acme.limits]\nconnections_per_user = 1\n[tenants.other.limits]");
    let place = Place::new(&door.replace("[\"acme\"]", "[\"acme\", \"other\"]")).await;
    let mut first = place.connect("one");
    assert_eq!(first.password("accept acme script as=bob").await, Told::LoggedIn);
    let mut second = place.connect("two");
    assert_eq!(second.password("accept acme script as=bob").await, Told::Gone);
    // Of another tenant, and another one, it is not.
    for grant in ["other script as=bob", "acme script as=eve"] {
        let mut third = place.connect("one");
        assert_eq!(third.password(&format!("accept {grant}")).await, Told::LoggedIn);
        assert!(third.run("facts;finish 0").await.contains("principal="), "{grant}");
    }
    first.leave().await;
    let mut again = place.connect("two");
    assert_eq!(again.password("accept acme script as=bob").await, Told::LoggedIn);
    assert!(again.run("facts;finish 0").await.contains("principal=bob"));
}

#[tokio::test]
async fn its_store_is_its_own_and_no_tenant_sees_it() {
    // A tenant and an authenticator of one name, and an authenticator with the same plugin.
    let place = Place::new(
        r#"
[tenants.acme.grants]
keyvalue = {}
topics = true
[[authenticators]]
name = "acme"
plugin = "doorman"
users = "*@acme"
tenants = ["acme"]
[[authenticators]]
name = "other"
plugin = "doorman"
users = "*"
tenants = ["acme"]
"#,
    )
    .await;
    let mut visitor = place.connect("a@acme");
    assert_eq!(visitor.password("keep color blue acme neighbour").await, Told::LoggedIn);
    assert_eq!(visitor.run("open doorman;list;set color red;get color;finish").await, "\"\"\n()\nSome(\"red\")\n");
    for (user, kept) in [("a@acme", "blue"), ("b", "nothing")] {
        let mut visitor = place.connect(user);
        assert_eq!(visitor.password("kept color acme script").await, Told::LoggedIn);
        let facts = visitor.run("facts;finish 0").await;
        assert!(facts.contains(&format!("attr.kept={kept}\n")), "{facts}");
    }
}
