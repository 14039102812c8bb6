//! A Salesforce org on loopback: OAuth, REST, SOQL, collections, composite, Bulk 2.0, and the truth about stamps.
//!
//! A plain-data [`World`] behind a thin HTTP face. Tests and the demo edit the world and look at it; clients see only the
//! API. What the platform does not document is modelled on the harsher side, and can be switched ([`settings`]).
//! The control routes are described in [`control`].

mod bulk;
mod changes;
mod collections;
mod composite;
mod conditions;
pub mod control;
mod deletion;
mod describe;
mod error;
mod face;
mod formula;
mod http;
mod ids;
mod locators;
mod oauth;
mod orders;
mod queries;
mod read;
mod records;
mod rest;
mod sales;
mod schema;
pub mod settings;
mod sfdx;
mod soql;
mod standard;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod values;
mod world;
mod write;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::{CancellationToken, DropGuard};

pub use error::SfError;
pub use ids::Id;
pub use settings::Settings;
pub use world::{Options, World};

use super::serve::{Wire, listen, serve};

/// A running simulator. It ends when this is dropped or [`Salesforce::stop`] is cancelled.
#[derive(Debug)]
pub struct Salesforce {
    /// `http://127.0.0.1:port`: login host and instance in one.
    pub url: String,
    pub world: Arc<Mutex<World>>,
    pub wire: Wire,
    pub stop: CancellationToken,
    _guard: DropGuard,
}

impl Salesforce {
    /// Starts serving on this loopback port; 0 takes any free one.
    ///
    /// # Errors
    /// When the port cannot be bound or the shipped metadata cannot be read.
    pub async fn start(port: u16, wire: Wire, options: Options) -> io::Result<Self> {
        let mut world = World::new(wire.clock.clone(), options).map_err(io::Error::other)?;
        let listener = listen(port).await?;
        let url = format!("http://{}", listener.local_addr()?);
        world.base_url.clone_from(&url);
        let world = Arc::new(Mutex::new(world));
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, http::router(Arc::clone(&world)), wire.clone(), stop.clone()));
        Ok(Self { url, world, wire, _guard: stop.clone().drop_guard(), stop })
    }

    /// The world, to look at or to edit. Not to be held across a wait.
    pub fn world(&self) -> MutexGuard<'_, World> {
        http::locked(&self.world)
    }
}
