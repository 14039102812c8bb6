//! Writing: one record after the other, outcomes in the order of the writes.

use super::catalogue::{ACTIVITY, CATALOGUE};
use super::outcome::{failed, rejected, unsent_fault};
use super::refusal::Refusal;
use super::{ForceManager, read};
use crate::plan::{Outcome, Verb, Write};
use std::sync::atomic::Ordering;

impl ForceManager {
    pub(super) async fn write_one(&self, write: &Write) -> Outcome {
        let Some(resource) = CATALOGUE.resource(&write.resource) else { return no_resource(write) };
        if resource.name == ACTIVITY && write.fields.contains_key("date") && self.shifted.load(Ordering::Relaxed) {
            return unsent_fault(read::time_shift());
        }
        let may = match write.verb {
            Verb::Create => resource.can_create,
            Verb::Update => resource.can_update,
            Verb::Delete => resource.can_delete,
            Verb::Link | Verb::Advance | Verb::Bury | Verb::Mark | Verb::Forget | Verb::Repoint => {
                return failed("not-a-write", format!("{} is nothing a side does", write.verb));
            }
        };
        if !may {
            // Who uses ForceManager is paid for by the head: no person is made, changed or taken away.
            let text = format!("a {} of ForceManager is only read", resource.name);
            return rejected(Refusal::new("not-supported", text, &[]));
        }
        match write.verb {
            Verb::Create => self.create(write, resource).await,
            Verb::Update => self.update(write, resource).await,
            _ => self.delete(write, resource).await,
        }
    }

    pub(super) async fn resolve_one(&self, write: &Write) -> Outcome {
        let Some(resource) = CATALOGUE.resource(&write.resource) else { return no_resource(write) };
        match write.verb {
            Verb::Create => self.resolve_create(write, resource).await,
            Verb::Update => self.resolve_update(write, resource).await,
            Verb::Delete => self.resolve_delete(write, resource).await,
            Verb::Link | Verb::Advance | Verb::Bury | Verb::Mark | Verb::Forget | Verb::Repoint => {
                failed("not-done", format!("{} is nothing a side does", write.verb))
            }
        }
    }
}

fn no_resource(write: &Write) -> Outcome {
    rejected(Refusal::new("no-such-resource", format!("ForceManager has no resource {:?}", write.resource), &[]))
}
