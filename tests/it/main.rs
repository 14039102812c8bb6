//! Everything that is tested from outside the library, in one binary.
#![allow(clippy::unwrap_used)]

mod architecture;
mod backups;
mod binary;
mod census;
mod cli;
mod commands;
mod decisions;
mod docs_sql;
mod forcemanager;
mod frozen;
mod golden;
mod guards;
mod init;
mod kills;
mod lac;
mod licenses;
mod licensespring;
mod many_orders;
mod numbered_rules;
mod orders;
mod process;
mod proxy;
mod quarantine;
mod random;
mod replace;
mod review;
mod rig;
mod salesforce;
mod stories;
mod suite;
mod switch;
mod trouble;
mod verify;
mod why;
