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

/// The memory of a tenant.
#[derive(Clone)]
struct Account {
    budget: Arc<Budget>,
    totals: Arc<Totals>,
    refused: Arc<Mutex<Vec<Total>>>,
}

impl Account {
    fn new(memory: usize) -> Self {
        let budget = Arc::new(Budget::new(&Limits { tenant_memory: memory, ..Limits::default() }));
        Self { budget, totals: Arc::new(Totals::new(1, usize::MAX, 1)), refused: Arc::default() }
    }
}

impl PipeMemory for Account {
    fn charge(&self, bytes: usize) -> Result<Charge, Total> {
        Charge::take(&self.budget, &self.totals, bytes)
    }

    fn refused(&self, total: Total) {
        self.refused.lock().unwrap().push(total);
    }
}

/// A pipe of a tenant with so much memory, and that tenant's account.
fn pipe_of(memory: usize) -> (PipeReader, PipeWriter, Arc<Budget>) {
    let account = Account::new(memory);
    let (reader, writer) = pipe(account.clone()).unwrap();
    (reader, writer, account.budget)
}

pub(crate) fn open() -> (PipeReader, PipeWriter) {
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
    assert!(budget.memory.used() > CHARGED);
    drop(reader);
    assert_eq!(budget.memory.used(), KEPT);
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
    writer.try_write(&bytes(1)).unwrap();
    assert_eq!(budget.memory.used(), KEPT);
    while writer.try_write(&bytes(60_000)).is_ok() {}
    assert_eq!(budget.memory.used(), KEPT + CHARGED);
    while reader.try_read(1_000).is_ok() {}
    assert_eq!(budget.memory.used(), KEPT);
    // One that is dropped with bytes in it.
    writer.try_write(&bytes(50_000)).unwrap();
    drop((reader, writer));
    assert_eq!(budget.memory.used(), 0);
    assert_eq!(pipe(Account::new(KEPT - 1)).err(), Some(Total::Memory));
}

#[test]
fn a_pipe_of_a_tenant_without_memory_holds_a_small_write_and_its_writer_waits_for_the_reader() {
    let account = Account::new(KEPT + CHARGED - 1);
    let (reader, writer) = pipe(account.clone()).unwrap();
    let (count, wait) = (Arc::<Count>::default(), writer.wait());
    let waker = Waker::from(Arc::clone(&count));
    let context = &Context::from_waker(&waker);
    let all = bytes(20_000);
    let (mut written, mut read) = (0, Vec::new());
    while written < all.len() {
        assert!(writer.poll_writable(&wait, context).is_ready());
        let taken = writer.try_write(&all.slice(written..)).unwrap();
        assert_eq!(taken, ATOMIC_WRITE.min(all.len() - written));
        written += taken;
        let woken = count.woken();
        if taken == ATOMIC_WRITE {
            assert_eq!((writer.try_write(&bytes(1)), writer.room()), (Err(Errno::Again), 0));
            assert!(writer.poll_writable(&wait, context).is_pending());
            read.extend_from_slice(&reader.try_read(1).unwrap());
            assert_eq!(count.woken(), woken);
        }
        read.extend_from_slice(&reader.try_read(CAPACITY).unwrap());
        assert_eq!(count.woken(), woken + usize::from(taken == ATOMIC_WRITE));
    }
    assert!(read == all);
    let told = account.refused.lock().unwrap().len();
    assert!((1..=5).contains(&told), "{told}");
    // As soon as there is memory it holds as much as any.
    let (reader, writer) = pipe(Account::new(KEPT + CHARGED)).unwrap();
    let (_other, taken) = (pipe(Account::new(KEPT)).unwrap(), writer.try_write(&all));
    assert_eq!((taken, reader.try_read(usize::MAX).map(|read| read.len())), (Ok(20_000), Ok(20_000)));
    // What was allowed is taken without memory as well, up to a bound.
    let account = Account::new(KEPT);
    let (_reader, writer) = pipe(account).unwrap();
    for _ in 0..=UNCHARGED / ATOMIC_WRITE {
        assert_eq!(writer.write_allowed(&bytes(ATOMIC_WRITE)), Ok(()));
    }
    assert_eq!(writer.write_allowed(&bytes(1)), Err(Errno::NoMemory));
}

#[test]
fn what_was_allowed_is_taken_and_charged_however_many_streams_there_are() {
    // X2
    let (reader, writer, budget) = pipe_of(1 << 30);
    writer.try_write(&bytes(CAPACITY)).unwrap();
    for _ in 0..1_000 {
        assert_eq!(writer.write_allowed(&bytes(ATOMIC_WRITE)), Ok(()));
    }
    let all = CAPACITY + 1_000 * ATOMIC_WRITE;
    assert!((all..all + 2 * CHARGED).contains(&budget.memory.used()), "{}", budget.memory.used());
    let mut read = 0;
    while let Ok(piece) = reader.try_read(usize::MAX) {
        read += piece.len();
    }
    assert_eq!((read, budget.memory.used()), (all, KEPT));
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
