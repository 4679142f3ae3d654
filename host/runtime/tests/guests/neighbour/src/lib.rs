//! A plugin that uses the tenant's shared data: key-value and topics. The command of `exec` is a script, actions
//! separated by `;`, and so is the input. Each action prints its result as a line on stdout, and so does each message
//! that arrives.
//!
//! In the arguments `\0` stands for NUL, `\e` for nothing, `\_` for a space, and `~N` for N times the letter x.

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package whelk:test;
        world neighbour {
            include whelk:ssh/session-plugin@0.1.0;
            import whelk:ssh/topics@0.1.0;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
            import wasi:keyvalue/batch@0.2.0-draft;
            import wasi:config/store@0.2.0-rc.1;
            export whelk:ssh/message-handler@0.1.0;
        }
    ",
    world: "whelk:test/neighbour",
    generate_all,
});

use std::cell::RefCell;
use std::fmt::Debug;
use std::time::Duration;

use exports::whelk::ssh::message_handler;
use exports::whelk::ssh::session::{Ending, Guest, Pty, SignalName, WindowSize};
use wasi::config::store as config;
use wasi::keyvalue::store::{Bucket, Error};
use wasi::keyvalue::{atomics, batch, store};
use whelk::ssh::{channel, connection, topics, types};

thread_local! {
    /// The bucket of the next actions.
    static BUCKET: RefCell<Option<Bucket>> = const { RefCell::new(None) };
}

fn say(text: &str) {
    // The client may have left; then there is nobody to tell.
    let _ = channel::write(types::Output::Stdout, format!("{text}\n").as_bytes());
}

fn answer(what: Result<impl Debug, impl Debug>) {
    match what {
        Ok(value) => say(&format!("{value:?}")),
        Err(error) => say(&format!("error {error:?}")),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

fn decode(word: &str) -> String {
    match word.strip_prefix('~') {
        Some(count) => "x".repeat(number(count) as usize),
        None => word.replace("\\0", "\0").replace("\\e", "").replace("\\_", " "),
    }
}

fn text(value: Option<Vec<u8>>) -> Option<String> {
    value.map(|value| match value.len() {
        0..100 => String::from_utf8_lossy(&value).into_owned(),
        more => format!("{more} bytes"),
    })
}

fn run(script: &str) {
    for action in script.split(';').map(str::trim_start).filter(|action| !action.is_empty()) {
        let words: Vec<String> = action.split(' ').map(decode).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if !general(&words) && !topic(&words) {
            BUCKET.with_borrow(|bucket| keys(bucket.as_ref().expect("a bucket was opened"), &words));
        }
    }
}

fn general(words: &[&str]) -> bool {
    match *words {
        ["say", ..] => say(&words[1..].join(" ")),
        ["finish"] => channel::finish(&types::Exit::Status(0)),
        ["config"] => answer(config::get_all()),
        ["sleep", ms] => std::thread::sleep(Duration::from_millis(number(ms))),
        ["open", name] => match store::open(name) {
            Ok(bucket) => BUCKET.set(Some(bucket)),
            Err(error) => say(&format!("error {error:?}")),
        },
        // Handles that are never dropped.
        ["hoard", count] => {
            let opened = (0..number(count)).map(|_| store::open("")).collect::<Result<Vec<_>, Error>>();
            answer(opened.map(|buckets| std::mem::ManuallyDrop::new(buckets).len()));
        }
        _ => return false,
    }
    true
}

fn topic(words: &[&str]) -> bool {
    match *words {
        ["subscribe", topic] => answer(topics::subscribe(topic).map_err(|error| error.name())),
        ["unsubscribe", topic] => topics::unsubscribe(topic),
        ["publish", topic, text] => answer(topics::publish(topic, text.as_bytes()).map_err(|error| error.name())),
        // Publishes numbers; prints how many were accepted.
        ["count", topic, many] => {
            let taken = (0..number(many)).filter(|n| topics::publish(topic, n.to_string().as_bytes()).is_ok());
            say(&format!("{} published", taken.count()));
        }
        _ => return false,
    }
    true
}

fn keys(bucket: &Bucket, words: &[&str]) {
    match *words {
        ["get", key] => answer(bucket.get(key).map(text)),
        ["set", key, value] => answer(bucket.set(key, value.as_bytes())),
        ["delete", key] => answer(bucket.delete(key)),
        ["exists", key] => answer(bucket.exists(key)),
        ["add", key, delta] => answer(atomics::increment(bucket, key, number(delta))),
        // Adds 1 this often and prints the last sum.
        ["adds", key, count] => answer((0..number(count)).try_fold(0, |_, _| atomics::increment(bucket, key, 1))),
        ["page", cursor] => answer(bucket.list_keys(cursor.parse().ok()).map(|page| (page.keys, page.cursor))),
        ["list"] => answer(list(bucket).map(|keys| keys.join(" "))),
        ["count-keys"] => answer(list(bucket).map(|keys| keys.len())),
        ["get-many", ..] => {
            let keys: Vec<String> = words[1..].iter().map(|&key| key.to_owned()).collect();
            answer(batch::get_many(bucket, &keys).map(|values| {
                values.into_iter().map(|value| value.map(|(key, value)| (key, text(Some(value))))).collect::<Vec<_>>()
            }));
        }
        ["set-many", ..] => answer(batch::set_many(
            bucket,
            &words[1..].chunks(2).map(|pair| (pair[0].to_owned(), pair[1].into())).collect::<Vec<_>>(),
        )),
        ["delete-many", ..] => {
            answer(batch::delete_many(bucket, &words[1..].iter().map(|&key| key.to_owned()).collect::<Vec<_>>()));
        }
        // This many keys of that many bytes in one call; and this many of them read in one call.
        ["fill", count, bytes] => {
            let value = vec![b'v'; number(bytes) as usize];
            let entries: Vec<_> = (0..number(count)).map(|n| (format!("key{n}"), value.clone())).collect();
            answer(batch::set_many(bucket, &entries));
        }
        ["read", count] => {
            let keys: Vec<_> = (0..number(count)).map(|n| format!("key{n}")).collect();
            answer(batch::get_many(bucket, &keys).map(|values| values.len()));
        }
        _ => panic!("no such action: {words:?}"),
    }
}

fn list(bucket: &Bucket) -> Result<Vec<String>, Error> {
    let mut page = bucket.list_keys(None)?;
    let mut keys = page.keys;
    while let Some(cursor) = page.cursor {
        page = bucket.list_keys(Some(cursor))?;
        keys.append(&mut page.keys);
    }
    Ok(keys)
}

struct Neighbour;

impl Guest for Neighbour {
    fn open() -> bool {
        true
    }
    fn env(_: String, _: Vec<u8>) -> bool {
        false
    }
    fn pty_req(_: Pty) -> bool {
        true
    }
    fn shell() -> bool {
        true
    }
    fn exec(command: Vec<u8>) -> bool {
        run(&String::from_utf8_lossy(&command));
        true
    }
    fn subsystem(_: String) -> bool {
        false
    }
    fn window_change(_: WindowSize) {}
    fn signal(_: SignalName) {}
    fn data(data: Vec<u8>) {
        run(&String::from_utf8_lossy(&data));
    }
    fn extended_data(_: u32, _: Vec<u8>) {}
    fn eof() {
        channel::finish(&types::Exit::Status(0));
    }
    fn close() {}
    fn closed(_: Ending) {
        if let Some(script) = connection::get("attr.closed") {
            run(&script);
        }
    }
}

impl message_handler::Guest for Neighbour {
    fn on_message(topic: String, data: Vec<u8>) {
        match connection::get("attr.on-message") {
            Some(script) => run(&script),
            None => say(&format!("{topic}: {}", String::from_utf8_lossy(&data))),
        }
    }
    fn on_lagged(topic: String, missed: u32) {
        say(&format!("{topic}: missed {missed}"));
    }
}

export!(Neighbour);
