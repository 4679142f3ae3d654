use super::*;

fn plugin(name: &str) -> NewUser {
    NewUser { plugin: Some(name.to_owned()), ..NewUser::default() }
}

fn added(text: &str, name: &str) -> String {
    UsersText::parse(text).unwrap().with(name, &plugin("echo"))
}

fn removed(text: &str, name: &str) -> String {
    UsersText::parse(text).unwrap().without(name)
}

fn table(text: &str) -> toml::Table {
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Texts in every form that users can have, each with the user `alice`.
const FORMS: &[&str] = &[
    "[users.alice]\nplugin = \"echo\"\n",
    "# Ours.\nstate = \"s\"   # here\n\n[users.alice]   # Alice\nplugin  =  'echo'\n# keys = []\n\n# Others:\n[limits]\nmemory = \"1 MiB\"",
    "[users]\nalice = { plugin = \"echo\", auth = \"none\" } # Alice\n\n[limits]\n",
    "[users]\nalice.plugin = \"echo\"\nalice.auth = \"none\"\n",
    "users.alice.plugin = \"echo\"\nusers.alice.auth = \"none\"\nstate = \"s\"\n[limits]\n",
    "users = { alice = { plugin = \"echo\" } }\nstate = \"s\"\n",
    "users = { alice.plugin = \"echo\", alice.auth = \"none\" }\n",
    "users = {\n  # Alice\n  alice = { plugin = \"echo\" }, # she\n}\n",
    "state = \"s\"\r\n\r\n[users.alice]\r\nplugin = \"echo\"\r\n\r\n[limits]\r\n",
    "[users.alice]\nplugin = \"echo\"\nkeys = [\n  # the laptop\n  \"a\",\n]\n[tenants.acme]\n[users.\"c d\"]\nplugin = \"x\"\n",
];

#[test]
fn a_user_is_added_in_every_form_and_everything_else_stays() {
    for form in FORMS {
        let text = added(form, "bob");
        let mut after = table(&text);
        let users = after["users"].as_table_mut().unwrap();
        assert_eq!(users.remove("bob").unwrap()["plugin"].as_str(), Some("echo"), "{text}");
        assert_eq!(after, table(form), "{text}");
        // Only one piece was put in.
        let same = form.bytes().zip(text.bytes()).take_while(|(one, other)| one == other).count();
        let rest = form.bytes().rev().zip(text.bytes().rev()).take_while(|(one, other)| one == other).count();
        assert!(same + rest >= form.len(), "{form}\n{text}");
        assert!(!form.contains('\r') || !text.replace("\r\n", "").contains('\n'), "{text:?}");
    }
}

#[test]
fn a_user_that_was_added_is_removed_without_a_trace() {
    for form in FORMS {
        let text = removed(&added(form, "bob"), "bob");
        let end = if form.ends_with('\n') { "" } else { "\n" };
        assert!(text == *form || text == format!("{form}{end}"), "{form:?}\n{text:?}");
    }
}

#[test]
fn a_user_is_removed_in_every_form_and_everything_else_stays() {
    for form in FORMS {
        let text = removed(&added(form, "bob"), "alice");
        let mut before = table(&added(form, "bob"));
        before["users"].as_table_mut().unwrap().remove("alice").unwrap();
        assert_eq!(table(&text), before, "{text}");
        assert!(!text.contains("Alice") && !text.contains("laptop"), "{text}");
    }
}

#[test]
fn the_last_user_leaves_an_empty_table_or_none() {
    assert_eq!(removed("[users.alice]\nplugin = \"echo\"\n", "alice"), "");
    assert_eq!(removed("users = { alice = {} }\n", "alice"), "users = {  }\n");
    assert_eq!(removed("[users]\n# Nobody else.\n\nalice = {}\n", "alice"), "[users]\n# Nobody else.\n\n");
}

#[test]
fn comments_directly_above_and_below_go_with_the_user_and_no_others() {
    let text = "\
# --- people ---

# Alice, of the office
[users.alice]
plugin = \"echo\"
# keys = []

# For all who come:
[users.bob]
plugin = \"echo\" # as Alice
# Bob's tenant
[tenants.acme]
";
    // What is above the first user may be about all of them.
    let without_alice = "\
# --- people ---

# Alice, of the office

# For all who come:
[users.bob]
plugin = \"echo\" # as Alice
# Bob's tenant
[tenants.acme]
";
    let without_bob = "\
# --- people ---

# Alice, of the office
[users.alice]
plugin = \"echo\"
# keys = []

# Bob's tenant
[tenants.acme]
";
    assert_eq!(removed(text, "alice"), without_alice);
    assert_eq!(removed(text, "bob"), without_bob);
}

#[test]
fn a_table_that_was_commented_out_stays() {
    let text = "[users.alice]\na = 1\n\n# [users.dave]\n# a = 1\n# Bob:\n[users.bob]\na = 1\n# b = 2\n# [users.erin]\n# a = 1\n";
    assert_eq!(removed(text, "bob"), "[users.alice]\na = 1\n\n# [users.dave]\n# [users.erin]\n# a = 1\n");
    let users = UsersText::parse(text).unwrap();
    assert_eq!(
        (users.comments_of("bob"), users.comments_of("alice")),
        ("# a = 1\n# Bob:\n# b = 2\n".into(), "".into())
    );
}

#[test]
fn a_remark_in_an_inline_table_goes_and_stays_with_its_entry() {
    let text = "users = {\n  al = { a = 1 }, # al\n  bo = { a = 2 }, # bo\n  cy = { a = 3 } # cy\n}\n";
    assert_eq!(removed(text, "al"), "users = {\n  bo = { a = 2 }, # bo\n  cy = { a = 3 } # cy\n}\n");
    assert_eq!(removed(text, "bo"), "users = {\n  al = { a = 1 }, # al\n  cy = { a = 3 } # cy\n}\n");
    assert_eq!(removed(text, "cy"), "users = {\n  al = { a = 1 }, # al\n  bo = { a = 2 } # bo\n}\n");
}

#[test]
fn pieces_of_a_user_in_several_places_all_go() {
    let text =
        "users.alice.plugin = \"a\"\nstate = \"s\"\n# more\nusers.alice.auth = \"none\"\nusers.bob.plugin = \"b\"\n";
    assert_eq!(removed(text, "alice"), "state = \"s\"\n# more\nusers.bob.plugin = \"b\"\n");
    let text = "[users.alice]\nplugin = \"a\"\n\n[limits]\n\n[users.alice.x]\ny = 1\n\n[users.bob]\n";
    assert_eq!(removed(text, "alice"), "[limits]\n\n[users.bob]\n");
}

#[test]
fn a_new_user_stands_behind_the_others() {
    let text = "[users.alice]\nplugin = \"echo\"\n\n# Companies\n[tenants.acme]\n";
    let expected =
        "[users.alice]\nplugin = \"echo\"\n\n[users.bob]\nplugin = \"echo\"\n\n# Companies\n[tenants.acme]\n";
    assert_eq!(added(text, "bob"), expected);
    // A file without users, and one without an end of its last line.
    assert_eq!(added("", "bob"), "[users.bob]\nplugin = \"echo\"\n");
    assert_eq!(added("state = 's'", "bob"), "state = 's'\n\n[users.bob]\nplugin = \"echo\"\n");
    assert_eq!(added("# a\n\n", "bob"), "# a\n\n[users.bob]\nplugin = \"echo\"\n");
    assert_eq!(added("users = {}\n", "bob"), "users = { bob = { plugin = \"echo\" } }\n");
}

#[test]
fn odd_names_and_values_are_quoted() {
    for name in ["a b", "a.b", "ä", "\"", "'", "\\", "[x]", "#", "1", "", "a\tb", "true"] {
        for form in FORMS {
            let text = added(form, name);
            assert!(table(&text)["users"].as_table().unwrap().contains_key(name), "{text}");
            assert!(UsersText::parse(&text).unwrap().has(name), "{text}");
            let left = table(&removed(&text, name));
            assert_eq!(left, table(form), "{text}");
        }
    }
    let keys = vec!["command=\"a 'b'\" ssh-ed25519 A".to_owned(), "ssh-ed25519 B \\ c".to_owned()];
    let user = NewUser { keys: keys.clone(), authorized_keys: Some("a \"b\"".to_owned()), ..plugin("e'cho") };
    for form in FORMS {
        let text = UsersText::parse(form).unwrap().with("bob", &user);
        let bob = &table(&text)["users"]["bob"];
        let read: Vec<_> = bob["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        assert_eq!(
            (read, bob["authorized_keys"].as_str()),
            (keys.iter().map(String::as_str).collect(), Some("a \"b\""))
        );
    }
}

#[test]
fn an_edit_that_changes_anything_else_is_noticed() {
    let before = "[users.alice]\nauth = \"none\"\n";
    for form in FORMS {
        assert!(differ_in_one_user(form, &added(form, "bob"), "bob"), "{form}");
    }
    assert!(differ_in_one_user(before, "", "alice"));
    for after in ["", "a = 1\n[users.alice]\nauth = \"none\"\n", "[users.alice]\n", "[users"] {
        assert!(!differ_in_one_user(before, after, "bob"), "{after}");
    }
}

#[test]
fn a_text_that_is_no_toml_or_has_no_table_of_users_is_not_edited() {
    for text in ["[users", "users = 1\n", "[[users]]\n", "users.a = 1\nusers = {}\n"] {
        assert!(UsersText::parse(text).is_none(), "{text}");
    }
}
