//! Custom objects and fields from the deployable metadata that is shipped: the sandbox has exactly what an org gets.
//!
//! Only `objects/` is read. A type it does not know is an error that names the file, so that nothing shipped is left out
//! of the sandbox unseen.

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::formula::Formula;
use super::schema::{Field, Kind, OnParentDelete, Pick, Schema, Source};
use super::standard;
use super::value::{Cell, parse_date, parse_instant};

static PROJECT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/salesforce");
/// What every org gets, and what those get beside it that keep opportunities and activities in step.
const OBJECTS: [&str; 2] = ["force-app/main/default/objects", "crm/main/default/objects"];
/// The metadata of tasks and events stands under one name.
const ACTIVITY: (&str, [&str; 2]) = ("Activity", ["Task", "Event"]);

/// Adds everything that is shipped to the standard objects.
///
/// # Errors
/// Names the file that cannot be read and why.
pub fn deploy(schema: &mut Schema) -> Result<(), String> {
    let mut folders: Vec<&Dir<'_>> = OBJECTS.iter().filter_map(|path| PROJECT.get_dir(path)).flat_map(Dir::dirs).collect();
    folders.sort_by_key(|folder| folder.path());
    let mut customs = 0;
    for folder in &folders {
        let name = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let file = folder.get_file(folder.path().join(format!("{name}.object-meta.xml")));
        if let Some(file) = file.filter(|_| schema.find(name).is_none()) {
            let said = |why: String| format!("{}: {why}", file.path().display());
            let text = file.contents_utf8().ok_or_else(|| said("not UTF-8".to_owned()))?;
            add_object(schema, name, text, customs).map_err(said)?;
            customs += 1;
        }
    }
    for folder in folders {
        let name = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(fields) = folder.get_dir(folder.path().join("fields")) else {
            continue;
        };
        let mut files: Vec<_> = fields.files().collect();
        files.sort_by_key(|file| file.path());
        for file in files {
            let said = |why: String| format!("{}: {why}", file.path().display());
            let text = file.contents_utf8().ok_or_else(|| said("not UTF-8".to_owned()))?;
            let objects = if name == ACTIVITY.0 { &ACTIVITY.1[..] } else { &[name][..] };
            for object in objects {
                add_field(schema, object, text).map_err(said)?;
            }
        }
    }
    schema.connect();
    Ok(())
}

/// Adds the field of one `field-meta.xml`; the schema is to be connected afterwards.
///
/// # Errors
/// What is missing or not known.
pub fn add_field(schema: &mut Schema, object: &str, xml: &str) -> Result<String, String> {
    let meta: FieldMeta = quick_xml::de::from_str(xml).map_err(|error| error.to_string())?;
    let field = meta.field()?;
    let at = schema.find(object).ok_or_else(|| format!("there is no object {object}"))?;
    let name = field.name.clone();
    schema.objects[at].push(field);
    Ok(name)
}

fn add_object(schema: &mut Schema, name: &str, xml: &str, number: u32) -> Result<(), String> {
    let meta: ObjectMeta = quick_xml::de::from_str(xml).map_err(|error| error.to_string())?;
    let digit = char::from_digit(number % 10, 10).unwrap_or('0');
    let prefix = format!("a{}{digit}", number / 10);
    let mut object = standard::custom_object(name, &meta.label, &meta.plural_label, &prefix);
    let mut name_field = match meta.name_field.kind.as_str() {
        "AutoNumber" => {
            let format = meta.name_field.display_format.ok_or("the name field has no displayFormat")?;
            Field { length: 80, source: Source::AutoNumber(format), ..Field::new("Name", Kind::Text).read_only() }
        }
        "Text" => Field { length: 80, ..Field::new("Name", Kind::Text) },
        other => return Err(format!("a name field of type {other} is not known")),
    };
    name_field.name_field = true;
    name_field.label = meta.name_field.label;
    object.push(name_field);
    schema.push(standard::finished(object));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectMeta {
    label: String,
    plural_label: String,
    name_field: NameFieldMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NameFieldMeta {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    display_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FieldMeta {
    full_name: String,
    label: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    length: Option<u32>,
    precision: Option<u32>,
    scale: Option<u32>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    case_sensitive: bool,
    default_value: Option<String>,
    display_format: Option<String>,
    formula: Option<String>,
    reference_to: Option<String>,
    relationship_name: Option<String>,
    delete_constraint: Option<String>,
    inline_help_text: Option<String>,
    value_set: Option<ValueSet>,
    summary_operation: Option<String>,
    summary_foreign_key: Option<String>,
    summarized_field: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueSet {
    #[serde(default)]
    restricted: bool,
    value_set_definition: Option<ValueSetDefinition>,
}

#[derive(Deserialize)]
struct ValueSetDefinition {
    #[serde(default)]
    value: Vec<PickMeta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PickMeta {
    full_name: String,
    label: Option<String>,
    #[serde(default)]
    default: bool,
    is_active: Option<bool>,
}

impl FieldMeta {
    fn field(&self) -> Result<Field, String> {
        let name = self.full_name.as_str();
        let kind = self.kind.as_deref().ok_or("the field has no type")?;
        let mut field = if let Some(formula) = &self.formula {
            let source = Source::Formula(Box::new(Formula::parse(formula)?));
            Field { source, ..self.of_kind(kind)?.read_only() }
        } else {
            self.of_kind(kind)?
        };
        field.custom = true;
        if let Some(label) = &self.label {
            field.label.clone_from(label);
        }
        field.required |= self.required;
        field.external_id = self.external_id;
        field.unique = self.unique;
        field.case_sensitive = self.case_sensitive;
        field.help.clone_from(&self.inline_help_text);
        if field.source == Source::Stored && field.default.is_none() {
            field.default = self.default_cell(field.kind)?;
        }
        if !name.ends_with("__c") {
            return Err(format!("{name} is no custom field"));
        }
        Ok(field)
    }

    fn of_kind(&self, kind: &str) -> Result<Field, String> {
        let name = self.full_name.as_str();
        let sized = |kind, standard: Option<u32>| match self.length.or(standard) {
            Some(length) => Ok(Field { length, ..Field::new(name, kind) }),
            None if self.formula.is_some() => Ok(Field { length: 1300, ..Field::new(name, kind) }),
            None => Err("the field has no length".to_owned()),
        };
        let number = |kind| {
            let precision = self.precision.unwrap_or(18);
            Ok(Field { precision, scale: self.scale.unwrap_or(0), ..Field::new(name, kind) })
        };
        match kind {
            "Text" => sized(Kind::Text, None),
            "TextArea" => sized(Kind::TextArea, Some(255)),
            "LongTextArea" | "Html" => sized(Kind::LongText, None),
            "Email" => sized(Kind::Email, Some(80)),
            "Phone" => sized(Kind::Phone, Some(40)),
            "Url" => sized(Kind::Url, Some(255)),
            "Checkbox" => Ok(Field {
                default: Some(Cell::Bool(self.default_value.as_deref() == Some("true"))),
                required: true,
                ..Field::new(name, Kind::Boolean)
            }),
            "Number" => number(Kind::Double),
            "Currency" => number(Kind::Currency),
            "Percent" => number(Kind::Percent),
            "Date" => Ok(Field::new(name, Kind::Date)),
            "DateTime" => Ok(Field::new(name, Kind::DateTime)),
            "Picklist" => Ok(self.picklist(Kind::Picklist)),
            "MultiselectPicklist" => Ok(self.picklist(Kind::MultiPicklist)),
            "Lookup" | "MasterDetail" => self.lookup(kind == "MasterDetail"),
            "AutoNumber" => {
                let format = self.display_format.clone().ok_or("the field has no displayFormat")?;
                Ok(Field { length: 30, source: Source::AutoNumber(format), ..Field::new(name, Kind::Text).read_only() })
            }
            "Summary" => self.summary(),
            other => Err(format!("a field of type {other} is not known")),
        }
    }

    fn picklist(&self, kind: Kind) -> Field {
        let picks = self.value_set.as_ref().and_then(|set| set.value_set_definition.as_ref());
        let picklist: Vec<Pick> = picks.map(|definition| definition.value.iter().map(PickMeta::pick).collect()).unwrap_or_default();
        let default = picklist.iter().find(|pick| pick.default).map(|pick| Cell::Text(pick.value.as_str().into()));
        let restricted = self.value_set.as_ref().is_some_and(|set| set.restricted);
        let length = if kind == Kind::Picklist { 255 } else { 4099 };
        Field { length, picklist, restricted, default, ..Field::new(&self.full_name, kind) }
    }

    fn lookup(&self, master: bool) -> Result<Field, String> {
        let target = self.reference_to.clone().ok_or("the lookup has no referenceTo")?;
        let path = self.full_name.trim_end_matches("__c");
        let mut field = Field::new(&self.full_name, Kind::Reference);
        field.length = 18;
        field.refers = vec![target];
        field.relationship = Some(format!("{path}__r"));
        field.child_relationship = self.relationship_name.as_ref().map(|name| format!("{name}__r"));
        field.on_parent_delete = match self.delete_constraint.as_deref() {
            _ if master => OnParentDelete::Cascade,
            Some("Cascade") => OnParentDelete::Cascade,
            Some("Restrict") => OnParentDelete::Restrict,
            _ => OnParentDelete::SetNull,
        };
        if master {
            field.required = true;
            field.updateable = false;
        }
        Ok(field)
    }

    fn summary(&self) -> Result<Field, String> {
        let key = self.summary_foreign_key.as_deref().and_then(|key| key.split_once('.'));
        let (child, lookup) = key.ok_or("the summary has no summaryForeignKey")?;
        let (child, lookup) = (child.to_owned(), lookup.to_owned());
        let source = match self.summary_operation.as_deref() {
            Some("count") => Source::Count { child, lookup },
            Some("sum") => {
                let field = self.summarized_field.as_deref().and_then(|field| field.split_once('.'));
                let field = field.ok_or("the summary has no summarizedField")?.1.to_owned();
                Source::Sum { child, lookup, field }
            }
            other => return Err(format!("a summary by {other:?} is not known")),
        };
        Ok(Field { precision: 18, source, ..Field::new(&self.full_name, Kind::Double).read_only() })
    }

    fn default_cell(&self, kind: Kind) -> Result<Option<Cell>, String> {
        let Some(written) = &self.default_value else {
            return Ok(None);
        };
        let plain = written.trim().trim_matches('"');
        let cell = match kind {
            Kind::Double | Kind::Currency | Kind::Percent | Kind::Int => plain.parse().ok().map(Cell::Num),
            Kind::Date => parse_date(plain).map(Cell::Date),
            Kind::DateTime => parse_instant(plain).map(Cell::Time),
            _ => Some(Cell::Text(plain.into())),
        };
        cell.map(Some).ok_or_else(|| format!("the default value {written} is not a value of its type"))
    }
}

impl PickMeta {
    fn pick(&self) -> Pick {
        Pick {
            value: self.full_name.clone(),
            label: self.label.clone().unwrap_or_else(|| self.full_name.clone()),
            active: self.is_active.unwrap_or(true),
            default: self.default,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployed() -> Schema {
        let mut schema = standard::schema();
        deploy(&mut schema).expect("the shipped metadata");
        schema
    }

    #[test]
    fn the_shipped_objects_are_there() {
        let schema = deployed();
        let license = schema.named("License__c").expect("shipped");
        let key = license.named("lockstep_id__c").expect("shipped");
        assert!(key.external_id && key.unique);
        let order = license.named("Order__c").expect("shipped");
        assert_eq!(order.relationship.as_deref(), Some("Order__r"));
        assert_eq!(order.targets, [schema.find("Order").expect("standard")]);
        let feature = schema.named("License_Feature__c").expect("shipped");
        assert_ne!(license.prefix, feature.prefix);
        assert!(schema.named("Account").and_then(|object| object.named("Lockstep_Id__c")).is_some());
    }

    #[test]
    fn every_shipped_field_file_is_read() {
        let schema = deployed();
        let folders = PROJECT.get_dir(OBJECTS[0]).expect("shipped").dirs();
        let mut seen = 0;
        for folder in folders {
            let object = folder.path().file_name().and_then(|name| name.to_str()).expect("a name");
            let Some(fields) = folder.get_dir(folder.path().join("fields")) else {
                continue;
            };
            for file in fields.files() {
                let name = file.path().file_name().and_then(|name| name.to_str()).expect("a name");
                let name = name.trim_end_matches(".field-meta.xml");
                assert!(schema.named(object).and_then(|object| object.named(name)).is_some(), "{object}.{name}");
                seen += 1;
            }
        }
        assert!(seen > 10);
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let mut schema = deployed();
        let xml = |body: &str| format!("<CustomField><fullName>X__c</fullName>{body}</CustomField>");
        for (body, reason) in [
            ("<type>Hologram</type>", "Hologram is not known"),
            ("<type>Text</type>", "no length"),
            ("<type>Lookup</type>", "no referenceTo"),
            ("<label>x</label>", "no type"),
        ] {
            let error = add_field(&mut schema, "Account", &xml(body)).expect_err("wrong metadata");
            assert!(error.contains(reason), "{error}");
        }
        assert!(add_field(&mut schema, "Nowhere", &xml("<type>Date</type>")).is_err());
    }

    #[test]
    fn picklists_defaults_and_formulas() {
        let mut schema = deployed();
        let xml = "<CustomField><fullName>Tier__c</fullName><type>Picklist</type><valueSet><restricted>true</restricted><valueSetDefinition>\
                   <sorted>false</sorted><value><fullName>Gold</fullName><default>true</default><label>Gold!</label></value>\
                   <value><fullName>Tin</fullName><isActive>false</isActive></value></valueSetDefinition></valueSet></CustomField>";
        add_field(&mut schema, "Account", xml).expect("good metadata");
        let tier = schema.named("Account").and_then(|object| object.named("Tier__c")).expect("added");
        assert!(tier.restricted && tier.picklist.len() == 2 && !tier.picklist[1].active);
        assert_eq!(tier.default, Some(Cell::Text("Gold".into())));
        let xml = "<CustomField><fullName>F__c</fullName><type>Text</type><formula>Account.Name &amp; '!'</formula></CustomField>";
        add_field(&mut schema, "Contact", xml).expect("good metadata");
        assert!(schema.named("Contact").and_then(|object| object.named("F__c")).is_some_and(Field::calculated));
    }
}
