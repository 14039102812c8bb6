//! Simulators of Salesforce and of the license platform, as real HTTP servers on loopback.
//!
//! They know the vendors' interfaces and nothing of Lockstep: no path outside this module is named here, so that a
//! misunderstanding in a connector cannot be cancelled out by the same misunderstanding in its simulator.
//!
//! The kernel is shared by all of them: a virtual [`clock`], a table of armed [`faults`] and a [`serve`] loop that can end
//! a connection without an answer.

pub mod clock;
pub mod faults;
pub mod forcemanager;
pub mod lac;
pub mod licensespring;
pub mod load;
pub mod pair;
pub mod salesforce;
pub mod sample;
pub mod serve;
