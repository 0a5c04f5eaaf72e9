//! Buffers for reading large objects, used again while they are still in the processor's cache.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

/// The size of one buffer: the largest piece that a read gives.
pub(crate) const BUFFER_BYTES: usize = 1024 * 1024;

/// How many buffers are kept for later.
const IDLE_MAX: usize = 16;

/// Smaller pieces get memory of their own size: a long-lived small piece must not hold a whole buffer.
const POOLED_BYTES_MIN: usize = BUFFER_BYTES / 2 + 1;

/// Memory that was used before and will be again.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    idle: Mutex<Vec<Box<[u8]>>>,
}

/// Memory that goes back to its pool.
#[derive(Debug)]
pub(crate) struct Buffer {
    memory: Box<[u8]>,
    length: usize,
    pool: Weak<Buffers>,
}

impl Buffers {
    /// Returns whether so many bytes are worth a buffer.
    pub(crate) fn is_for(length: usize) -> bool {
        (POOLED_BYTES_MIN..=BUFFER_BYTES).contains(&length)
    }

    /// Returns memory of `length` bytes, at most [`BUFFER_BYTES`], with whatever is in it.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let idle = self.idle.lock().pop();
        let memory = idle.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        Buffer {
            memory,
            length,
            pool: Arc::downgrade(self),
        }
    }
}

impl Buffer {
    /// Makes bytes of it. The memory goes back when the last of their clones is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut idle = pool.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_up_to_a_limit() {
        assert!(!Buffers::is_for(BUFFER_BYTES / 2) && Buffers::is_for(BUFFER_BYTES / 2 + 1));
        assert!(Buffers::is_for(BUFFER_BYTES) && !Buffers::is_for(BUFFER_BYTES + 1));
        let pool = Arc::new(Buffers::default());
        let mut buffer = pool.take(BUFFER_BYTES - 5);
        buffer.as_mut().fill(7);
        let bytes = buffer.into_bytes();
        assert_eq!(bytes.len(), BUFFER_BYTES - 5);
        let clone = bytes.slice(1..2);
        drop(bytes);
        assert_eq!((pool.idle.lock().len(), &clone[..]), (0, &[7][..]));
        drop(clone);
        assert_eq!(pool.idle.lock().len(), 1);
        let kept: Vec<_> = (0..2 * IDLE_MAX)
            .map(|_| pool.take(BUFFER_BYTES).into_bytes())
            .collect();
        drop(kept);
        assert_eq!(pool.idle.lock().len(), IDLE_MAX);
    }
}
