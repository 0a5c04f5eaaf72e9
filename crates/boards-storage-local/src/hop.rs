//! The one way from the async world to blocking work.
//!
//! There are two ways in. Work that moves many bytes or waits for a disk has a blocking thread of its own. Short work
//! (a stat, a small object) shares a few: to wake a thread for each costs more than the work itself as long as the
//! file system answers from memory. See [`Lane`].

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use boards_storage_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Work that takes longer than this on a processor of its own waits for something; then more of it should wait at
/// once.
const QUICK: Duration = Duration::from_micros(60);

/// Threads that made no progress for this long are stuck; others go on in their stead.
const STUCK: Duration = Duration::from_millis(1);

/// The greatest number of threads that share short work.
const THREADS_MAX: usize = 256;

/// After so many quick works in a row one thread less is wanted.
const QUICK_WORKS_PER_THREAD: usize = 32;

/// So many quick works are answered together …
const ANSWERS_MAX: usize = 8;

/// … unless the first has waited so long for its answer already.
const ANSWER_DELAY: Duration = Duration::from_micros(50);

thread_local! {
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the present code may block.
pub(crate) fn may_block() -> bool {
    MAY_BLOCK.get()
}

fn blocking<T>(work: impl FnOnce() -> T) -> T {
    MAY_BLOCK.set(true);
    let result = work();
    MAY_BLOCK.set(false);
    result
}

/// Tells blocking work that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Fails if the caller is gone. It is asked right before a commit: what was not committed when the caller went
    /// stays undone.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::Storage,
                "the call was cancelled before its commit",
            ));
        }
        Ok(())
    }
}

/// Cancels on drop.
struct CancelOnDrop(Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Begins blocking work on a thread of its own.
pub(crate) fn begin<T, F>(work: F) -> JoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(move || blocking(work))
}

/// Waits for blocking work. A panic in it goes on here.
pub(crate) async fn join<T>(task: JoinHandle<T>) -> Result<T> {
    match task.await {
        Ok(value) => Ok(value),
        Err(failure) if failure.is_panic() => resume_unwind(failure.into_panic()),
        Err(failure) => Err(shutting_down().with_source(failure)),
    }
}

fn shutting_down() -> Error {
    Error::new(ErrorKind::Storage, "the runtime is shutting down")
}

/// Runs blocking work on a thread of its own.
pub(crate) async fn hop<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    join(begin(work)).await?
}

/// Runs blocking work that asks before its commit whether the caller still waits.
pub(crate) async fn hop_until_dropped<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Cancellation) -> Result<T> + Send + 'static,
{
    let guard = CancelOnDrop(Cancellation::default());
    let cancellation = guard.0.clone();
    hop(move || work(&cancellation)).await
}

/// Threads that share short work.
///
/// As long as the work is quick there are as many threads as processors: each takes one work after the other, and
/// none is woken for a single one. Where it is not, because a disk is asked, each slow work adds a thread, so that
/// after a few there are as many as tasks that wait; quick work takes them away again.
#[derive(Clone, Debug)]
pub(crate) struct Lane(Arc<Mutex<Queue>>);

struct Queue {
    works: VecDeque<Work>,
    threads: usize,
    threads_wanted: usize,
    threads_min: usize,
    quick_works: usize,
    last_progress: Instant,
}

struct Work {
    job: Box<dyn Job>,
    runtime: Handle,
}

/// Work whose result is told later than it is made.
trait Job: Send {
    fn run(&mut self);
    fn answer(self: Box<Self>);
}

struct OneJob<T, F> {
    work: Option<F>,
    result: Option<Answer<T>>,
    sender: Option<oneshot::Sender<Answer<T>>>,
}

/// What a job made, or the panic that ended it.
type Answer<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

impl<T: Send, F: FnOnce() -> Result<T> + Send> Job for OneJob<T, F> {
    fn run(&mut self) {
        self.result = self.work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
    }

    fn answer(mut self: Box<Self>) {
        if let (Some(sender), Some(result)) = (self.sender.take(), self.result.take()) {
            // If nobody waits for the answer, it is dropped here, where that may block.
            drop(sender.send(result));
        }
    }
}

impl Lane {
    pub(crate) fn new() -> Self {
        let threads_min = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Mutex::new(Queue {
            works: VecDeque::new(),
            threads: 0,
            threads_wanted: threads_min,
            threads_min,
            quick_works: 0,
            last_progress: Instant::now(),
        })))
    }

    /// Runs short work.
    pub(crate) async fn hop<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(OneJob {
            work: Some(work),
            result: None,
            sender: Some(sender),
        });
        self.push(Work {
            job,
            runtime: Handle::current(),
        });
        match receiver.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_gone) => Err(shutting_down()),
        }
    }

    /// Runs short work that asks before its commit whether the caller still waits.
    pub(crate) async fn hop_until_dropped<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Cancellation) -> Result<T> + Send + 'static,
    {
        let guard = CancelOnDrop(Cancellation::default());
        let cancellation = guard.0.clone();
        self.hop(move || work(&cancellation)).await
    }

    fn push(&self, work: Work) {
        let mut queue = self.0.lock();
        let runtime = work.runtime.clone();
        queue.works.push_back(work);
        let is_wanted = queue.threads < queue.threads_wanted
            || (queue.threads < THREADS_MAX && queue.last_progress.elapsed() > STUCK);
        if is_wanted {
            queue.threads += 1;
            drop(queue);
            self.start(&runtime);
        }
    }

    /// Starts a thread that was counted already.
    fn start(&self, runtime: &Handle) {
        let thread = LaneThread {
            lane: self.clone(),
            runtime: runtime.clone(),
            has_run: Cell::new(false),
        };
        drop(runtime.spawn_blocking(move || thread.run()));
    }
}

/// One of a lane's threads; its drop takes it off the count, also if it never ran.
struct LaneThread {
    lane: Lane,
    runtime: Handle,
    has_run: Cell<bool>,
}

impl LaneThread {
    fn run(self) {
        self.has_run.set(true);
        blocking(|| {
            let mut is_patient = true;
            loop {
                if self.run_some() {
                    is_patient = true;
                } else if is_patient {
                    // Those who got an answer often have the next question at once.
                    is_patient = false;
                    std::thread::yield_now();
                } else {
                    break;
                }
            }
        });
    }

    /// Does quick works one after the other and answers them together, so that those who wait are woken together.
    fn run_some(&self) -> bool {
        let mut done: [Option<Box<dyn Job>>; ANSWERS_MAX] = [const { None }; ANSWERS_MAX];
        let mut begin = Instant::now();
        let first = begin;
        for slot in &mut done {
            let work = {
                let mut queue = self.lane.0.lock();
                queue.last_progress = begin;
                // What is another runtime's is left to a thread of that one: this one may have to end soon.
                let is_ours = queue
                    .works
                    .front()
                    .is_some_and(|work| work.runtime.id() == self.runtime.id());
                if is_ours { queue.works.pop_front() } else { None }
            };
            let Some(Work { mut job, .. }) = work else { break };
            job.run();
            let end = Instant::now();
            *slot = Some(job);
            self.learn(end.duration_since(begin));
            begin = end;
            if end.duration_since(first) > ANSWER_DELAY {
                break;
            }
        }
        let any = done[0].is_some();
        for job in done.into_iter().flatten() {
            job.answer();
        }
        any
    }

    /// Learns from one work how many threads are wanted.
    fn learn(&self, time: Duration) {
        let mut queue = self.lane.0.lock();
        // Threads that share a processor make each other's work look longer than it is.
        let share = u32::try_from(queue.threads.div_ceil(queue.threads_min)).unwrap_or(u32::MAX);
        if time < QUICK.saturating_mul(share) {
            queue.quick_works += 1;
            if queue.quick_works >= QUICK_WORKS_PER_THREAD && queue.threads_wanted > queue.threads_min {
                queue.quick_works = 0;
                queue.threads_wanted -= 1;
            }
            return;
        }
        queue.quick_works = 0;
        queue.threads_wanted = (queue.threads_wanted + 1).min(THREADS_MAX);
        if queue.works.is_empty() || queue.threads >= queue.threads_wanted {
            return;
        }
        queue.threads += 1;
        drop(queue);
        self.lane.start(&self.runtime);
    }
}

impl Drop for LaneThread {
    fn drop(&mut self) {
        let mut queue = self.lane.0.lock();
        queue.threads -= 1;
        let mut dropped = VecDeque::new();
        if !self.has_run.get() {
            // Its runtime is shutting down, so nothing of it will run any more. Dropped, it tells its callers so.
            let runtime = self.runtime.id();
            (dropped, queue.works) = queue
                .works
                .drain(..)
                .partition(|work| work.runtime.id() == runtime);
        }
        // Work that came after the last look, or that is another runtime's.
        let next = queue.works.front().map(|work| work.runtime.clone());
        if next.is_some() {
            queue.threads += 1;
        }
        drop(queue);
        drop::<VecDeque<Work>>(dropped);
        if let Some(runtime) = next {
            self.lane.start(&runtime);
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn slow_work_waits_at_once_and_quick_work_shares() {
        let lane = Lane::new();
        let begin = Instant::now();
        let slow = (0..64).map(|_| {
            let lane = lane.clone();
            tokio::spawn(async move {
                lane.hop(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    Ok(())
                })
                .await
            })
        });
        for task in slow.collect::<Vec<_>>() {
            task.await.expect("no panic").expect("done");
        }
        // Two threads alone would take 640 ms.
        assert!(
            begin.elapsed() < Duration::from_millis(500),
            "{:?}",
            begin.elapsed()
        );
        assert!(lane.0.lock().threads_wanted > 8);
        for number in 0..20_000_u32 {
            assert_eq!(lane.hop(move || Ok(number)).await.expect("done"), number);
        }
        let least = lane.0.lock().threads_min;
        assert!(
            lane.0.lock().threads_wanted <= least + 8,
            "{:?}",
            lane.0.lock().threads_wanted
        );
    }

    #[test]
    fn a_lane_outlives_the_runtimes_that_use_it() {
        let lane = Lane::new();
        for _ in 0..20 {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .expect("a runtime");
            for number in 0..50 {
                let lane = lane.clone();
                // Some of them are cut off by the shutdown.
                drop(runtime.spawn(async move { lane.hop(move || Ok(number)).await }));
            }
            assert_eq!(runtime.block_on(lane.hop(|| Ok(7))).expect("done"), 7);
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        assert_eq!(runtime.block_on(lane.hop(|| Ok(8))).expect("done"), 8);
    }

    #[tokio::test]
    async fn a_panic_goes_on_where_it_is_waited_for() {
        let lane = Lane::new();
        let other = lane.clone();
        let task = tokio::spawn(async move { other.hop(|| -> Result<()> { panic!("on purpose") }).await });
        assert!(task.await.expect_err("panicked").is_panic());
        assert_eq!(lane.hop(|| Ok(1)).await.expect("works on"), 1);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_told_so() {
        let lane = Lane::new();
        let (told, hear) = std::sync::mpsc::channel();
        let (begun, wait) = std::sync::mpsc::channel::<()>();
        let call = lane.hop_until_dropped(move |cancellation| {
            wait.recv().expect("begun");
            told.send(cancellation.check().is_err()).expect("heard");
            Ok(())
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(20), call)
                .await
                .is_err()
        );
        begun.send(()).expect("waited for");
        assert!(hear.recv_timeout(Duration::from_secs(5)).expect("told"));
    }
}
