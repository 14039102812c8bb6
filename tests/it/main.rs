//! Everything that is tested from outside the library, in one binary.
#![allow(clippy::unwrap_used)]

mod architecture;
mod decisions;
mod rig;
mod stories;
