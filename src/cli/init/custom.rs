//! Custom fields that both sides have under one name, proposed where their types fit. Pure.

use super::{
    fit::{Both, meant, word},
    sheet::Sheet,
};
use crate::connectors::{CustomField, FieldInfo};
use crate::engine::own_fields;
use crate::record::{FieldType, LOCKSTEP_ID};
use crate::rules::{Direction, Mapping};
use std::collections::BTreeMap;

/// Two fields of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namesake {
    pub object: String,
    pub salesforce: String,
    pub platform: String,
    /// The narrowest that is sensible, or why they cannot be kept in step.
    pub verdict: Result<Direction, String>,
    /// `text`
    pub kind: &'static str,
}

/// By object the custom fields without a namesake.
pub(super) type Alone = BTreeMap<String, Vec<String>>;

/// More names than these are counted, not listed.
const MOST_NAMED: usize = 12;

/// Every custom field of Salesforce that an object of the file does not map yet and that has exactly one namesake; by object
/// the names of those that have none. `custom`: by resource what the platform's people added.
pub(super) fn namesakes(
    text: &str,
    both: &Both<'_>,
    custom: &BTreeMap<String, Vec<CustomField>>,
) -> Result<(Vec<Namesake>, Alone), String> {
    let (_, rules) = meant(text)?;
    let (mut found, mut alone) = (Vec::new(), BTreeMap::new());
    for mapping in rules.mappings.iter().filter(|m| m.direction != Direction::None) {
        let own = own_fields(&rules, mapping);
        let (Some(salesforce), Some(platform)) =
            (both.schemas.salesforce.get(&mapping.salesforce), both.schemas.platform.get(&mapping.platform))
        else {
            continue;
        };
        let mapped = |name: &str| mapping.entries.iter().any(|e| e.salesforce.iter().chain(&e.platform).any(|f| f == name));
        // By plain name all that could be meant on the platform.
        let mut there: BTreeMap<String, BTreeMap<&str, &FieldInfo>> = BTreeMap::new();
        let shown = platform.fields.iter().map(|(field, info)| (field.as_str(), field.rsplit('.').next().unwrap_or(field), info));
        let added = custom.get(&mapping.platform).into_iter().flatten().map(|c| (c.field.as_str(), c.called.as_str(), &c.info));
        for (field, called, info) in shown.chain(added) {
            if !mapped(field) && platform.planted.as_deref() != Some(field) && !info.secret {
                there.entry(plain(called)).or_default().insert(field, info);
            }
        }
        let mut named: BTreeMap<String, u32> = BTreeMap::new();
        let candidates: Vec<(&String, &FieldInfo)> = salesforce
            .fields
            .iter()
            .filter(|(name, info)| name.ends_with("__c") && !name.contains('.') && !info.secret && !mapped(name))
            .filter(|(name, _)| *name != LOCKSTEP_ID && !own.contains(&name.as_str()))
            .collect();
        for (name, _) in &candidates {
            *named.entry(plain(bare(name))).or_default() += 1;
        }
        for (name, info) in candidates {
            let key = plain(bare(name));
            match there.get(&key).map(|fields| fields.iter().collect::<Vec<_>>()).as_deref() {
                Some([(field, other)]) if named.get(&key) == Some(&1) => found.push(Namesake {
                    object: mapping.object.clone(),
                    salesforce: name.clone(),
                    platform: (**field).to_owned(),
                    verdict: verdict(mapping, info, other),
                    kind: info.ty.as_str(),
                }),
                _ => alone.entry(mapping.object.clone()).or_insert_with(Vec::new).push(name.clone()),
            }
        }
    }
    Ok((found, alone))
}

/// Puts one into the file: as an entry where it fits and is wanted, else as a comment that says why not.
pub(super) fn write(sheet: &mut Sheet, namesake: &Namesake, widest: Direction, refused: bool) {
    let Namesake { object, salesforce, platform, verdict, .. } = namesake;
    let table = format!("objects.{object}.fields");
    let bare = format!("{salesforce} = \"{platform}\"");
    match verdict {
        Ok(_) if refused => sheet.add(&table, &format!("# {bare}"), "left out: a custom field of the same name, not wanted"),
        Ok(direction) if *direction == widest => sheet.add(&table, &bare, "a custom field of the same name on both sides"),
        Ok(direction) => sheet.add(
            &table,
            &format!("{salesforce} = {{ to = \"{platform}\", direction = \"{}\" }}", word(*direction)),
            "a custom field of the same name on both sides",
        ),
        Err(why) => sheet.add(&table, &format!("# {bare}"), &format!("left out: {why}")),
    }
}

/// One comment for the fields that stand alone.
pub(super) fn note(sheet: &mut Sheet, object: &str, names: &[String]) {
    let listed = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = if names.len() > MOST_NAMED { format!(" and {} more", names.len() - MOST_NAMED) } else { String::new() };
    sheet.add(&format!("objects.{object}.fields"), &format!("# left out: not on the platform under that name: {listed}{rest}"), "");
}

/// `ns__Tier__c` → `ns__Tier`; what is a namespace and what is a name only Salesforce knows.
fn bare(name: &str) -> &str {
    name.strip_suffix("__c").unwrap_or(name)
}

/// As people would hear it: `Order_Line`, `orderLine` and `order line` are one name.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn verdict(mapping: &Mapping, salesforce: &FieldInfo, platform: &FieldInfo) -> Result<Direction, String> {
    use FieldType as T;
    let (here, there) = (&salesforce.ty, &platform.ty);
    let one_way = match (here, there) {
        (T::Text { .. } | T::Email { .. }, T::Text { .. } | T::Email { .. })
        | (T::Integer, T::Integer)
        | (T::Decimal { .. }, T::Decimal { .. })
        | (T::Boolean, T::Boolean)
        | (T::Date, T::Date)
        | (T::Instant, T::Instant)
        | (T::List { .. }, T::List { .. }) => false,
        // What comes back could have decimals that Salesforce does not take.
        (T::Integer, T::Decimal { .. }) => true,
        _ => return Err(format!("{} in Salesforce, {} on the platform", here.as_str(), there.as_str())),
    };
    let to_platform = mapping.direction.to_platform() && (platform.updateable || platform.createable);
    let to_salesforce = mapping.direction.to_salesforce() && (salesforce.updateable || salesforce.createable) && !one_way;
    match (to_platform, to_salesforce) {
        (true, true) => Ok(Direction::Both),
        (true, false) => Ok(Direction::ToPlatform),
        (false, true) => Ok(Direction::ToSalesforce),
        (false, false) => Err("neither side may be written".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{Catalogue, Schema, forcemanager};
    use crate::record::Sides;
    use crate::rules::FORCEMANAGER;

    fn info(ty: FieldType, writable: bool) -> FieldInfo {
        FieldInfo { ty, createable: writable, updateable: writable, required: false, secret: false, calculated: !writable }
    }

    #[test]
    fn fields_of_one_name_are_proposed_as_far_as_they_fit() {
        let number = || FieldType::Decimal { scale: 2 };
        let salesforce_catalogue = Catalogue { name: "salesforce", resources: Vec::new(), open: true };
        let fields = [
            ("Tier__c", FieldType::text(), true),
            ("Total_Score__c", FieldType::Integer, true),
            ("Rank__c", number(), false),
            ("Since__c", FieldType::Date, true),
            ("Alone__c", FieldType::text(), true),
            ("Two__c", FieldType::text(), true),
            ("T_wo__c", FieldType::text(), true),
            (LOCKSTEP_ID, FieldType::text(), true),
            ("Name", FieldType::text(), true),
        ];
        let account = Schema { fields: fields.map(|(n, ty, w)| (n.to_owned(), info(ty, w))).into(), ..Schema::default() };
        let platform = Schema { fields: [("name".to_owned(), info(FieldType::text(), true))].into(), ..Schema::default() };
        let both = Both {
            schemas: Sides::new([("Account".to_owned(), account)].into(), [("account".to_owned(), platform)].into()),
            catalogues: Sides::new(&salesforce_catalogue, &*forcemanager::CATALOGUE),
        };
        let added = [("Tier", FieldType::text()), ("totalscore", number()), ("rank", number()), ("Since", FieldType::Instant)];
        let mut added: Vec<CustomField> = added
            .into_iter()
            .map(|(called, ty)| CustomField { field: format!("Z_{called}"), called: called.to_owned(), info: info(ty, true) })
            .collect();
        added.push(CustomField { field: "Z_Two".to_owned(), called: "Two".to_owned(), info: info(FieldType::text(), true) });
        let custom = BTreeMap::from([("account".to_owned(), added)]);
        let (found, alone) = namesakes(FORCEMANAGER, &both, &custom).unwrap();
        let said: Vec<(&str, &str, Result<Direction, String>)> =
            found.iter().map(|n| (n.salesforce.as_str(), n.platform.as_str(), n.verdict.clone())).collect();
        assert_eq!(
            said,
            [
                ("Rank__c", "Z_rank", Ok(Direction::ToPlatform)),
                ("Since__c", "Z_Since", Err("date in Salesforce, date-time on the platform".to_owned())),
                ("Tier__c", "Z_Tier", Ok(Direction::Both)),
                ("Total_Score__c", "Z_totalscore", Ok(Direction::ToPlatform)),
            ]
        );
        assert_eq!(alone["account"], ["Alone__c", "T_wo__c", "Two__c"]);

        let mut sheet = Sheet::of(FORCEMANAGER);
        for namesake in &found {
            write(&mut sheet, namesake, Direction::Both, namesake.salesforce == "Rank__c");
        }
        note(&mut sheet, "account", &alone["account"]);
        let text = sheet.text();
        for part in [
            "\nTier__c = \"Z_Tier\" ",
            "\nTotal_Score__c = { to = \"Z_totalscore\", direction = \"to-platform\" } ",
            "\n# Rank__c = \"Z_rank\" ",
            "# left out: date in Salesforce, date-time on the platform\n",
            "# left out: not on the platform under that name: Alone__c, T_wo__c, Two__c\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(meant(&text).is_ok());
    }
}
