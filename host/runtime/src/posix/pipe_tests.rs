use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};

use super::*;
use crate::limits::Limits;
use crate::limits::budget::{Budget, Totals};

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A pipe of a tenant with so much memory, and that tenant's account.
fn pipe_of(memory: usize) -> (PipeReader, PipeWriter, Arc<Budget>) {
    let budget = Arc::new(Budget::new(&Limits { tenant_memory: memory, ..Limits::default() }));
    let (mine, totals) = (Arc::clone(&budget), Arc::new(Totals::new(1, usize::MAX, 1)));
    let (reader, writer) = pipe(move |bytes| Charge::take(&mine, &totals, bytes).ok());
    (reader, writer, budget)
}

fn open() -> (PipeReader, PipeWriter) {
    let (reader, writer, _) = pipe_of(1 << 30);
    (reader, writer)
}

fn bytes(count: usize) -> Bytes {
    (0..count).map(|number| number.to_le_bytes()[0]).collect()
}

#[test]
fn bytes_come_out_in_the_order_in_which_they_went_in_whatever_the_sizes() {
    let (reader, writer) = open();
    let all = bytes(300_000);
    let (mut written, mut read) = (0, Vec::new());
    for (write, most) in
        [1, 5_000, 20_000, 3, 40_000, 16_384, 4_096].into_iter().cycle().zip([7, 70_000, 1, 30_000].into_iter().cycle())
    {
        let piece = all.slice(written..(written + write).min(all.len()));
        match writer.try_write(&piece) {
            Ok(taken) => written += taken,
            Err(error) => assert_eq!(error, Errno::Again),
        }
        read.extend_from_slice(&reader.try_read(most).unwrap_or_default());
        if read.len() == all.len() {
            break;
        }
    }
    assert_eq!(read, all);
}

#[test]
fn a_pipe_holds_64_kib_and_small_writes_are_whole() {
    let (reader, writer) = open();
    assert_eq!(writer.try_write(&bytes(100_000)), Ok(CAPACITY));
    assert_eq!((writer.try_write(&bytes(1)), writer.room()), (Err(Errno::Again), 0));
    assert_eq!(reader.try_read(4_095).unwrap().len(), 4_095);
    // There is room for 4,095 bytes: for all of that, and for none of what is longer.
    assert_eq!(
        (writer.try_write(&bytes(4_096)), writer.try_write(&bytes(5_000))),
        (Err(Errno::Again), Err(Errno::Again))
    );
    assert_eq!((writer.try_write(&bytes(4_095)), writer.room()), (Ok(4_095), 0));
}

#[test]
fn the_end_comes_behind_what_was_written() {
    let (reader, writer) = open();
    assert_eq!(reader.try_read(10), Err(Errno::Again));
    assert_eq!(reader.try_read(0), Ok(Bytes::new()));
    writer.try_write(&bytes(3)).unwrap();
    drop(writer);
    assert_eq!(reader.try_read(10), Ok(bytes(3)));
    assert_eq!(reader.try_read(10), Ok(Bytes::new()));
}

#[test]
fn a_pipe_that_nobody_reads_is_broken_and_holds_nothing() {
    let (reader, writer, budget) = pipe_of(1 << 30);
    writer.try_write(&bytes(50_000)).unwrap();
    assert!(budget.memory.used() > 0);
    drop(reader);
    assert_eq!(budget.memory.used(), 0);
    assert_eq!(
        (writer.try_write(&bytes(1)), writer.write_allowed(&bytes(1))),
        (Err(Errno::BrokenPipe), Err(Errno::BrokenPipe))
    );
    assert_eq!(writer.room(), CAPACITY, "the write fails, not the question");
}

#[test]
fn memory_is_charged_while_there_are_bytes() {
    // X2
    let (reader, writer, budget) = pipe_of(1 << 30);
    assert_eq!(budget.memory.used(), 0);
    writer.try_write(&bytes(1)).unwrap();
    while writer.try_write(&bytes(60_000)).is_ok() {}
    assert_eq!(budget.memory.used(), CHARGED);
    while reader.try_read(1_000).is_ok() {}
    assert_eq!(budget.memory.used(), 0);
    // One that is dropped with bytes in it.
    writer.try_write(&bytes(1)).unwrap();
    drop((reader, writer));
    assert_eq!(budget.memory.used(), 0);
    let (_reader, writer, _) = pipe_of(CHARGED - 1);
    assert_eq!(writer.try_write(&bytes(1)), Err(Errno::NoMemory));
}

#[test]
fn what_was_allowed_is_taken_and_no_more() {
    // X2
    let (reader, writer, budget) = pipe_of(1 << 30);
    writer.try_write(&bytes(CAPACITY)).unwrap();
    for _ in 0..64 {
        assert_eq!(writer.write_allowed(&bytes(ATOMIC_WRITE)), Ok(()));
    }
    assert_eq!(writer.write_allowed(&bytes(1)), Err(Errno::Again));
    assert!((CAPACITY + EXCESS..2 * (CAPACITY + EXCESS)).contains(&budget.memory.used()), "{}", budget.memory.used());
    let mut read = 0;
    while let Ok(piece) = reader.try_read(usize::MAX) {
        read += piece.len();
    }
    assert_eq!((read, budget.memory.used()), (CAPACITY + EXCESS, 0));
}

#[test]
fn an_end_that_waits_is_woken_once_and_only_when_it_can_go_on() {
    let (reader, writer) = open();
    let (count, mine, others) = (Arc::<Count>::default(), reader.wait(), reader.wait());
    let waker = Waker::from(Arc::clone(&count));
    let context = &Context::from_waker(&waker);
    assert!(reader.poll_readable(&mine, context).is_pending() && reader.poll_readable(&mine, context).is_pending());
    assert!(reader.poll_readable(&others, context).is_pending());
    // One of two gives up.
    drop(others);
    writer.try_write(&bytes(1)).unwrap();
    writer.try_write(&bytes(1)).unwrap();
    assert_eq!(count.woken(), 1);
    assert!(reader.poll_readable(&mine, context).is_ready());
    while writer.try_write(&bytes(4_096)).is_ok() {}
    let wait = writer.wait();
    assert!(writer.poll_writable(&wait, context).is_pending());
    reader.try_read(1).unwrap();
    assert_eq!(count.woken(), 1, "it could not make a whole small write");
    reader.try_read(1).unwrap();
    reader.try_read(20_000).unwrap();
    assert_eq!(count.woken(), 2, "the reader may wait for what only the writer would write");
    assert!(writer.poll_writable(&wait, context).is_ready());
}

#[test]
fn an_end_that_waits_is_woken_by_the_end_of_the_other() {
    let (count, (reader, writer)) = (Arc::<Count>::default(), open());
    let waker = Waker::from(Arc::clone(&count));
    let context = &Context::from_waker(&waker);
    let wait = reader.wait();
    assert!(reader.poll_readable(&wait, context).is_pending());
    drop(writer);
    assert!(count.woken() == 1 && reader.poll_readable(&wait, context).is_ready());
    let (reader, writer) = open();
    writer.try_write(&bytes(CAPACITY)).unwrap();
    let wait = writer.wait();
    assert!(writer.poll_writable(&wait, context).is_pending());
    drop(reader);
    assert!(count.woken() == 2 && writer.poll_writable(&wait, context).is_ready());
}

#[test]
fn those_who_waited_and_were_dropped_leave_nothing() {
    let (reader, _writer) = open();
    let waker = Waker::from(Arc::<Count>::default());
    for _ in 0..1_000 {
        assert!(reader.poll_readable(&reader.wait(), &Context::from_waker(&waker)).is_pending());
    }
    assert!(reader.0.lock().readers.is_empty());
}
