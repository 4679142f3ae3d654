//! The quota of a granted directory: one per tenant, shared by all of its sessions, and exact under concurrency.

use std::fs;

use whelk_runtime::{Access, Quota};

use crate::shell::{AMPLE, Place};

#[tokio::test]
async fn only_a_tenant_at_its_byte_quota_is_refused() {
    // W28
    let quota = Quota { bytes: 1_000, files: 100 };
    let (acme, other) = (Place::new(quota), Place::new(quota));
    let (mut one, mut two, mut stranger) = (acme.shell(), acme.shell(), other.shell());
    assert_eq!(one.run("fill a 900").await, "ok");
    assert_eq!(two.run("fill b 101;stat b;fill b 100").await, "io\nfile 0\nok");
    assert_eq!(one.run("append a x;put a 900 x;put a 899 x").await, "io\nio\nok");
    assert_eq!(stranger.run("fill a 1000").await, "ok");
    assert_eq!(acme.usage(), (1_000, 2));
    assert_eq!(acme.recount(), acme.usage());
}

#[tokio::test]
async fn a_write_above_the_quota_reports_the_quota() {
    // The standard library does not ask why a write to a stream failed: it is `io` in the other tests.
    let place = Place::new(Quota { bytes: 5, files: 1 });
    let mut shell = place.shell();
    assert_eq!(shell.run("new a;raw-write a 123456;raw-write a 12345;raw-write a ").await, "ok\nquota\nquota\nquota");
    assert_eq!(shell.run("read a;truncate a 1;raw-write a 23;read a").await, "12345\nok\nok\n123!");
}

#[tokio::test]
async fn only_a_tenant_at_its_file_quota_is_refused() {
    // W28
    let quota = Quota { bytes: 1_000, files: 4 };
    let (acme, other) = (Place::new(quota), Place::new(quota));
    let (mut one, mut two, mut stranger) = (acme.shell(), acme.shell(), other.shell());
    assert_eq!(one.run("new a;mkdir b;symlink a c").await, "ok\nok\nok");
    assert_eq!(two.run("new d;new e;mkdir f;symlink a g;new a").await, "ok\nquota\nquota\nquota\nAlreadyExists");
    assert_eq!(stranger.run("new a").await, "ok");
    assert_eq!(two.run("remove c;mkdir f;new e").await, "ok\nok\nquota");
    assert_eq!((acme.usage(), acme.recount()), ((0, 4), (0, 4)));
}

#[tokio::test]
async fn a_hole_counts_as_if_it_were_written() {
    // W28
    let place = Place::new(AMPLE);
    let mut shell = place.shell();
    assert_eq!(shell.run("new a;truncate a 1099511627776;put a 1099511627776 x").await, "ok\nquota\nio");
    assert_eq!(shell.run("truncate a 18446744073709551615;put a 9223372036854775807 x").await, { "InvalidInput\nio" });
    assert_eq!(shell.run("truncate a 1000000;stat a").await, "ok\nfile 1000000");
    assert_eq!((place.usage(), place.recount()), ((1_000_000, 1), (1_000_000, 1)));
}

#[tokio::test]
async fn removing_truncating_and_replacing_free_quota() {
    let place = Place::new(Quota { bytes: 1_000, files: 3 });
    let mut shell = place.shell();
    assert_eq!(shell.run("fill a 1000;truncate a 400;fill b 600;new c").await, "ok\nok\nok\nok");
    assert_eq!(place.usage(), (1_000, 3));
    assert_eq!(shell.run("rename b a;rename c c;rename c ./c").await, "ok\nok\nok");
    assert_eq!(place.usage(), (600, 2));
    assert_eq!(shell.run("write a x;remove c;mkdir d;mkdir e;rename d e").await, "ok\nok\nok\nok\nok");
    assert_eq!(place.usage(), (1, 2));
    assert_eq!(shell.run("remove a;rmdir e").await, "ok\nok");
    assert_eq!((place.usage(), place.recount()), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn a_removed_file_counts_until_it_is_closed() {
    let place = Place::new(Quota { bytes: 1_000, files: 2 });
    let (mut one, mut two) = (place.shell(), place.shell());
    assert_eq!(one.run("fill a 600;hold a").await, "ok\nok");
    assert_eq!(two.run("hold a;remove a;fill b 600").await, "ok\nok\nio");
    // What a session does next waits until it has closed it.
    assert_eq!(one.run("held more;drop;count .").await, "ok\nok\n1");
    assert_eq!(place.usage(), (604, 2));
    assert_eq!(two.run("held more;drop;fill b 600").await, "ok\nok\nok");
    assert_eq!((place.usage(), place.recount()), ((600, 1), (600, 1)));
    assert_eq!(two.run("hold b;write c x;rename c b;read b").await, "ok\nok\nok\nx");
    assert_eq!(place.usage(), (601, 2));
    two.end().await;
    place.settle().await;
    assert_eq!((place.usage(), place.recount()), ((1, 1), (1, 1)));
}

#[tokio::test]
async fn two_handles_that_extend_one_file_are_charged_its_size_once() {
    let place = Place::new(Quota { bytes: 1_000, files: 2 });
    let (mut one, mut two) = (place.shell(), place.shell());
    assert_eq!(one.run("new a;hold a").await, "ok\nok");
    assert_eq!(two.run("hold a;held 12345").await, "ok\nok");
    assert_eq!(one.run("held 67890;truncate a 2;held x").await, "ok\nok\nok");
    assert_eq!(two.run("held y;read a").await, "ok\n12xy");
    assert_eq!((place.usage(), place.recount()), ((4, 1), (4, 1)));
}

#[tokio::test]
async fn existing_files_count_at_the_start() {
    let place = Place::with(Access::ReadWrite, Quota { bytes: 1_000, files: 3 }, |path| {
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/c"), vec![0; 990]).unwrap();
    });
    assert_eq!(place.usage(), (990, 3));
    assert_eq!(place.shell().run("append a/b/c 12345678901;append a/b/c 1234567890;new d").await, "io\nok\nquota");
}

#[tokio::test]
async fn over_a_lowered_quota_files_can_be_read_overwritten_and_removed() {
    let place = Place::with(Access::ReadWrite, Quota { bytes: 1, files: 1 }, |path| {
        fs::write(path.join("a"), b"text").unwrap();
        fs::write(path.join("b"), b"").unwrap();
    });
    assert_eq!(place.shell().run("read a;put a 0 TEXT;read a;append a x;new c;remove b;truncate a 1").await, {
        "text\nok\nTEXT\nio\nquota\nok\nok"
    });
    assert_eq!(place.usage(), (1, 1));
}

#[tokio::test]
async fn a_file_with_a_hard_link_is_read_but_not_written() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        fs::write(path.join("../outside"), b"text").unwrap();
        fs::hard_link(path.join("../outside"), path.join("inside")).unwrap();
    });
    let answer = place.shell().run("read inside;append inside x;truncate inside 0;write inside x;remove inside").await;
    assert_eq!(answer, "text\ndenied\ndenied\ndenied\nok");
    assert_eq!(fs::read(place.path("../outside")).unwrap(), b"text");
    assert_eq!((place.usage(), place.recount()), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn a_file_with_several_names_inside_counts_its_bytes_once_and_each_name_as_a_file() {
    let place = Place::with(Access::ReadWrite, Quota { bytes: 1_000, files: 5 }, |path| {
        fs::create_dir(path.join("d")).unwrap();
        fs::write(path.join("a"), vec![0; 300]).unwrap();
        fs::hard_link(path.join("a"), path.join("d/b")).unwrap();
    });
    assert_eq!(place.usage(), (300, 3));
    let mut shell = place.shell();
    assert_eq!(shell.run("fill d/b 500;stat a;link a c;link d/b d/e;link a f;put c 999 x;put c 1000 x").await, {
        "ok\nfile 500\nok\nok\nquota\nok\nio"
    });
    assert_eq!((place.usage(), place.recount()), ((1_000, 5), (1_000, 5)));
    // The bytes are free with the last name.
    assert_eq!(shell.run("remove a;rename c d/b;rename d/b d/b2;remove d/e;new a;fill a 1").await, {
        "ok\nok\nok\nok\nok\nio"
    });
    assert_eq!((place.usage(), place.recount()), ((1_000, 4), (1_000, 4)));
    assert_eq!(shell.run("remove c;hold d/b2;remove d/b2;fill a 1;drop;fill a 1;list d").await, {
        "ok\nok\nok\nio\nok\nok"
    });
    assert_eq!((place.usage(), place.recount()), ((1, 2), (1, 2)));
}

#[tokio::test]
async fn a_file_is_written_when_its_name_outside_is_gone_and_not_when_one_appears() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        fs::write(path.join("../outside"), b"text").unwrap();
        fs::hard_link(path.join("../outside"), path.join("a")).unwrap();
        fs::hard_link(path.join("../outside"), path.join("b")).unwrap();
        fs::write(path.join("mine"), b"mine").unwrap();
    });
    assert_eq!(place.usage(), (8, 3));
    let mut shell = place.shell();
    assert_eq!(shell.run("link a c;append a x;append c x;remove c;rename a b").await, "ok\ndenied\ndenied\nok\nok");
    fs::hard_link(place.path("mine"), place.path("../mine")).unwrap();
    assert_eq!(shell.run("append mine x;link mine mine2;append mine2 x").await, "denied\nok\ndenied");
    fs::remove_file(place.path("../outside")).unwrap();
    fs::remove_file(place.path("../mine")).unwrap();
    assert_eq!(shell.run("append a x;append b x;append mine2 x;remove a;remove b").await, "ok\nok\nok\nok\nok");
    assert_eq!((place.usage(), place.recount()), ((5, 2), (5, 2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sessions_keep_the_quota_equal_to_the_files() {
    for seed in 1..=6_u64 {
        let quota = Quota { bytes: 100_000, files: 12 };
        let place = Place::new(quota);
        let mut shells: Vec<_> = (0..4).map(|_| place.shell()).collect();
        let work = shells.iter_mut().zip(0..).map(|(shell, at)| {
            let script = format!("churn {} 400", seed * 100 + at);
            async move { shell.run(&script).await }
        });
        let work: Vec<_> = work.map(Box::pin).collect();
        let mut done = Vec::new();
        for answer in join(work).await {
            done.push(answer.parse::<u64>().unwrap());
            let (bytes, files) = place.usage();
            assert!(bytes <= quota.bytes && files <= quota.files, "seed {seed}: {bytes} bytes, {files} files");
        }
        assert!(done.iter().all(|done| *done > 50), "seed {seed}: hardly anything was done: {done:?}");
        for shell in shells {
            shell.end().await;
        }
        place.settle().await;
        assert_eq!(place.usage(), place.recount(), "seed {seed}");
    }
}

/// Lets all of them continue until all are done.
async fn join<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(value) = std::pin::Pin::new(future).poll(context)
            {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
