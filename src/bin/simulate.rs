//! The long run of the simulation.
fn main() {}
