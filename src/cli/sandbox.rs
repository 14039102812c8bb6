//! `lockstep sandbox`: both systems simulated on loopback, until stopped.

use super::{Exit, init};
use crate::sandbox::{
    forcemanager, lac,
    load::{LoadOptions, load, products},
    pair::{Pair, PlatformKind},
    sample,
};
use anyhow::Context;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Loads accounts.csv, contacts.csv and opportunities.csv
    #[arg(long, value_name = "DIR", conflicts_with_all = ["sample", "generated"])]
    pub load: Option<PathBuf>,
    /// Closed Won opportunities become activated orders
    #[arg(long, requires = "load")]
    pub orders_from_opportunities: bool,
    /// Fills Salesforce with the sample data of the demo; a platform of customers has a few of them already
    #[arg(long)]
    pub sample: bool,
    /// Fills Salesforce with this many made-up accounts
    #[arg(long, value_name = "N", conflicts_with = "sample")]
    pub generated: Option<usize>,
    /// Writes the variables for the rules here (0600), once both ports listen
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// The license platform
    #[arg(long, value_enum, default_value = "licensespring")]
    pub platform: init::Platform,
    /// 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub port_salesforce: u16,
    /// 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub port_platform: u16,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> anyhow::Result<Exit> {
    // Listened for from the start, so that a stop during a long load is a stop too.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let pair = Pair::start(kind(args.platform), args.port_salesforce, args.port_platform).await.context("starting the simulators")?;
    fill(args, &pair)?;
    println!("salesforce  {}", pair.salesforce.url);
    println!("platform    {}", pair.platform_url);
    if let Some(file) = &args.env_file {
        pair.write_environment(file).with_context(|| format!("writing {}", file.display()))?;
        println!("variables   set -a; . {}; set +a", file.display());
    }
    println!("Stop with Ctrl-C. Faults, clock and edits: docs/sandbox.md");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(Exit::InStep)
}

fn kind(platform: init::Platform) -> PlatformKind {
    match platform {
        init::Platform::Licensespring => PlatformKind::LicenseSpring,
        init::Platform::Lac => PlatformKind::Lac,
        init::Platform::Forcemanager => PlatformKind::ForceManager,
    }
}

fn fill(args: &Args, pair: &Pair) -> anyhow::Result<()> {
    let mut world = pair.salesforce.world();
    if let Some(dir) = &args.load {
        let options = LoadOptions { orders_from_opportunities: args.orders_from_opportunities, activated_at: None };
        let loaded = load(&mut world, dir, options)?;
        println!(
            "loaded      {} accounts, {} contacts, {} opportunities, {} orders",
            loaded.accounts, loaded.contacts, loaded.opportunities, loaded.orders
        );
        if loaded.opportunities_without_account > 0 {
            println!(
                "            {} Closed Won opportunities have no account: no order was made of them",
                loaded.opportunities_without_account
            );
        }
        if loaded.orders_without_contact > 0 {
            println!("            {} orders have no contact to bill", loaded.orders_without_contact);
        }
    } else if let Some(n) = args.generated {
        sample::fill_generated(&mut world, n)?;
        println!("generated   {n} accounts");
    } else if args.sample {
        let sample = sample::fill(&mut world)?;
        println!(
            "sample      {} accounts, {} contacts, {} orders",
            sample.accounts.len(),
            sample.contacts.len(),
            sample.draft_orders.len() + sample.activated_orders.len()
        );
        if let Some(it) = pair.lac() {
            let adopted = lac::sample::fill(&mut it.world(), &world.rows("Account"), &world.rows("Contact"))?;
            println!(
                "            in LAC already: {} customers with a SF_Id, {} of an account's name, {} that only LAC has",
                adopted.tagged.len(),
                adopted.named.len(),
                adopted.own.len()
            );
        }
        if let Some(it) = pair.forcemanager() {
            forcemanager::fill_sample(&mut it.world()).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
            let sales = sample::fill_sales(&mut world, &sample)?;
            println!(
                "            {} opportunities, {} calls, {} tasks, {} events",
                sales.opportunities.len(),
                sales.calls.len(),
                sales.tasks.len(),
                sales.events.len()
            );
            println!("            in ForceManager already: what a first load would replace");
        }
    } else {
        let now = pair.salesforce_wire.clock.now();
        products(&mut world, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_sample_of_lac_holds_customers_to_adopt() {
        let args = Args {
            load: None,
            orders_from_opportunities: false,
            sample: true,
            generated: None,
            env_file: None,
            platform: init::Platform::Lac,
            port_salesforce: 0,
            port_platform: 0,
        };
        let pair = Pair::start(kind(args.platform), 0, 0).await.unwrap();
        fill(&args, &pair).unwrap();
        let accounts = pair.salesforce.world().rows("Account");
        let lac = pair.lac().unwrap().world();
        let tagged: Vec<String> = lac.customers().filter_map(|row| row.tag(lac::SF_ID).map(str::to_owned)).collect();
        let is_an_account =
            |id: &String| accounts.iter().any(|account| account["Id"].as_str().is_some_and(|full| full.starts_with(id.as_str())));
        assert_eq!(tagged.iter().map(String::len).collect::<Vec<_>>(), [18, 18, 15]);
        assert!(tagged.iter().all(is_an_account), "{tagged:?}");
        let named = lac.customers().filter(|row| row.tag(lac::SF_ID).is_none()).filter(|row| {
            accounts.iter().any(|account| account["Name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(row.text("name"))))
        });
        assert_eq!(named.count(), 3);
        assert!(lac.customers().filter(|row| !row.contacts.is_empty()).count() >= 5);
    }
}
