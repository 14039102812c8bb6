//! Describe: what the API user sees of objects and fields, in the platform's own attributes.

use serde_json::{Map, Value, json};

use super::schema::{Field, Kind, Object, OnParentDelete, Source};
use super::world::World;

impl World {
    /// The short description, as in the global list.
    #[must_use]
    pub fn brief(&self, object: usize, version: &str) -> Map<String, Value> {
        let shape = &self.schema.objects[object];
        let url = format!("/services/data/{version}/sobjects/{}", shape.name);
        let deletable = shape.deletable && shape.writable;
        let flags = json!({
            "activateable": false, "associateEntityType": null, "associateParentEntity": null, "createable": shape.writable,
            "custom": shape.custom, "customSetting": false, "deepCloneable": false, "deletable": deletable,
            "deprecatedAndHidden": false, "feedEnabled": false, "hasSubtypes": false, "isInterface": false, "isSubtype": false,
            "keyPrefix": shape.prefix, "label": shape.label, "labelPlural": shape.plural, "layoutable": true,
            "mergeable": shape.mergeable, "mruEnabled": true, "name": shape.name, "queryable": true, "replicateable": true,
            "retrieveable": true, "searchable": true, "triggerable": true, "undeletable": shape.bin, "updateable": shape.writable,
            "urls": {"sobject": url, "describe": format!("{url}/describe"), "rowTemplate": format!("{url}/{{ID}}")},
        });
        match flags {
            Value::Object(flags) => flags,
            _ => Map::new(),
        }
    }

    #[must_use]
    pub fn describe(&self, object: usize, version: &str) -> Value {
        let shape = &self.schema.objects[object];
        let mut whole = self.brief(object, version);
        let fields: Vec<Value> = shape
            .numbered()
            .filter(|(at, _)| self.visible(object, *at))
            .map(|(at, field)| field_json(shape, field, self.read_only.contains(&(object, at))))
            .collect();
        let children: Vec<Value> = shape
            .children
            .iter()
            .map(|child| {
                let other = &self.schema.objects[child.object];
                let field = other.field(child.field);
                json!({
                    "cascadeDelete": field.on_parent_delete == OnParentDelete::Cascade, "childSObject": other.name,
                    "deprecatedAndHidden": false, "field": field.name, "junctionIdListNames": [], "junctionReferenceTo": [],
                    "relationshipName": child.relationship, "restrictedDelete": field.on_parent_delete == OnParentDelete::Restrict,
                })
            })
            .collect();
        whole.extend([
            ("actionOverrides".to_owned(), json!([])),
            ("childRelationships".to_owned(), Value::Array(children)),
            ("compactLayoutable".to_owned(), json!(true)),
            ("fields".to_owned(), Value::Array(fields)),
            ("listviewable".to_owned(), Value::Null),
            ("lookupLayoutable".to_owned(), Value::Null),
            ("namedLayoutInfos".to_owned(), json!([])),
            ("networkScopeFieldName".to_owned(), Value::Null),
            ("recordTypeInfos".to_owned(), record_types(shape)),
            ("searchLayoutable".to_owned(), json!(true)),
            ("supportedScopes".to_owned(), json!([{"label": format!("All {}", shape.plural), "name": "everything"}])),
        ]);
        Value::Object(whole)
    }
}

fn record_types(shape: &Object) -> Value {
    json!([{
        "active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master", "master": true, "name": "Master",
        "recordTypeId": "012000000000000AAA", "urls": {"layout": format!("/services/data/sobjects/{}/describe/layouts/012000000000000AAA", shape.name)},
    }])
}

fn field_json(shape: &Object, field: &Field, read_only: bool) -> Value {
    let (kind, soap) = type_names(field);
    let writable = shape.writable && !read_only;
    let nillable = !field.required
        && !matches!(field.kind, Kind::Boolean | Kind::Id)
        && !system(field)
        && !matches!(field.source, Source::AutoNumber(_));
    let numeric = field.is_number();
    let digits = if field.kind == Kind::Int { field.precision.max(8) } else { 0 };
    let filterable = !matches!(field.kind, Kind::LongText | Kind::Address);
    let name_pointing = field.targets.len() > 1;
    let picklist: Vec<Value> = field
        .picklist
        .iter()
        .map(
            |pick| json!({"active": pick.active, "defaultValue": pick.default, "label": pick.label, "validFor": null, "value": pick.value}),
        )
        .collect();
    let defaulted = field.default.is_some()
        || field.name == "OwnerId"
        || system(field)
        || field.kind == Kind::Id
        || matches!(field.source, Source::AutoNumber(_));
    let mut json = json!({
        "aggregatable": filterable, "aiPredictionField": false, "autoNumber": matches!(field.source, Source::AutoNumber(_)),
        "byteLength": if field.length > 0 { field.length.saturating_mul(3) } else { 0 }, "calculated": field.calculated(),
        "calculatedFormula": null, "cascadeDelete": field.on_parent_delete == OnParentDelete::Cascade && field.kind == Kind::Reference,
        "caseSensitive": field.case_sensitive, "compoundFieldName": compound_name(shape, field), "controllerName": null,
        "createable": field.createable && writable, "custom": field.custom, "defaultValue": null, "defaultValueFormula": null,
        "defaultedOnCreate": defaulted, "dependentPicklist": false, "deprecatedAndHidden": false, "digits": digits,
        "displayLocationInDecimal": false, "encrypted": false, "externalId": field.external_id, "extraTypeInfo": extra_type(field),
        "filterable": filterable, "filteredLookupInfo": null, "formulaTreatNullNumberAsZero": false,
        "groupable": filterable && !matches!(field.kind, Kind::DateTime | Kind::Double | Kind::Currency | Kind::Percent),
    });
    let rest = json!({
        "highScaleNumber": false, "htmlFormatted": false, "idLookup": field.kind == Kind::Id || field.is_key() || field.kind == Kind::Email,
        "inlineHelpText": field.help, "label": field.label, "length": field.length, "mask": null, "maskType": null, "name": field.name,
        "nameField": field.name_field, "namePointing": name_pointing, "nillable": nillable, "permissionable": field.custom && !field.required,
        "picklistValues": picklist, "polymorphicForeignKey": name_pointing, "precision": if numeric { field.precision } else { 0 },
        "queryByDistance": false, "referenceTargetField": null, "referenceTo": field.refers, "relationshipName": field.relationship,
        "relationshipOrder": null, "restrictedDelete": field.on_parent_delete == OnParentDelete::Restrict, "restrictedPicklist": field.restricted,
        "scale": if numeric { field.scale } else { 0 }, "searchPrefilterable": false, "soapType": soap,
        "sortable": filterable && field.kind != Kind::MultiPicklist, "type": kind, "unique": field.unique,
        "updateable": field.updateable && writable, "writeRequiresMasterRead": false,
    });
    if let (Value::Object(whole), Value::Object(rest)) = (&mut json, rest) {
        whole.extend(rest);
    }
    json
}

fn compound_name(shape: &Object, field: &Field) -> Option<String> {
    let person = shape.named("Name").is_some_and(|name| name.source == Source::PersonName);
    let part = matches!(field.name.as_str(), "FirstName" | "LastName" | "Salutation");
    field.compound.clone().or_else(|| (person && part).then(|| "Name".to_owned()))
}

fn system(field: &Field) -> bool {
    matches!(field.source, Source::Created | Source::CreatedBy | Source::Modified | Source::ModifiedBy | Source::Stamp | Source::IsDeleted)
}

fn extra_type(field: &Field) -> Option<&'static str> {
    match (&field.source, field.kind) {
        (Source::PersonName, _) => Some("personname"),
        (_, Kind::LongText | Kind::TextArea) => Some("plaintextarea"),
        _ => None,
    }
}

fn type_names(field: &Field) -> (&'static str, &'static str) {
    match field.kind {
        Kind::Id => ("id", "tns:ID"),
        Kind::Text => ("string", "xsd:string"),
        Kind::TextArea | Kind::LongText => ("textarea", "xsd:string"),
        Kind::Boolean => ("boolean", "xsd:boolean"),
        Kind::Int => ("int", "xsd:int"),
        Kind::Double => ("double", "xsd:double"),
        Kind::Currency => ("currency", "xsd:double"),
        Kind::Percent => ("percent", "xsd:double"),
        Kind::Date => ("date", "xsd:date"),
        Kind::DateTime => ("datetime", "xsd:dateTime"),
        Kind::Picklist => ("picklist", "xsd:string"),
        Kind::MultiPicklist => ("multipicklist", "xsd:string"),
        Kind::Reference => ("reference", "tns:ID"),
        Kind::Email => ("email", "xsd:string"),
        Kind::Phone => ("phone", "xsd:string"),
        Kind::Url => ("url", "xsd:string"),
        Kind::Address => ("address", "urn:address"),
    }
}
