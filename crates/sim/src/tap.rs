//! An engine's generator with an ear on it: the model knows what an engine drew, and can draw it again.
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::{TryCryptoRng, TryRng};

/// One end goes into an engine, the other stays with the world.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Mutex<Heard>>);

struct Heard {
    rng: ChaCha20Rng,
    draws: Vec<Draw>,
}

/// One draw: where in the stream, and how many bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    position: u128,
    pub len: usize,
}

impl Tap {
    pub fn new(rng: ChaCha20Rng) -> Tap {
        Tap(Arc::new(Mutex::new(Heard { rng, draws: Vec::new() })))
    }

    /// Forgets what was drawn so far.
    pub fn clear(&self) {
        self.heard().draws.clear();
    }

    /// What was drawn since.
    pub fn draws(&self) -> Vec<Draw> {
        self.heard().draws.clone()
    }

    /// A generator that draws again from there on.
    pub fn again(&self, from: Draw) -> ChaCha20Rng {
        let mut rng = self.heard().rng.clone();
        rng.set_word_pos(from.position);
        rng
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw<T>(
        &mut self,
        len: usize,
        draw: impl FnOnce(&mut ChaCha20Rng) -> Result<T, Infallible>,
    ) -> Result<T, Infallible> {
        let mut heard = self.heard();
        let position = heard.rng.get_word_pos();
        heard.draws.push(Draw { position, len });
        draw(&mut heard.rng)
    }
}

impl TryRng for Tap {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.draw(4, TryRng::try_next_u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.draw(8, TryRng::try_next_u64)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.draw(out.len(), |rng| rng.try_fill_bytes(out))
    }
}

impl TryCryptoRng for Tap {}
