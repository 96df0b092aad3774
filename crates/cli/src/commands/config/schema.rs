use serde_json::{Map, Value, json};

use crate::config::{Key, Shape};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Prints what the configuration may be.
pub(super) fn print(keys: &[Key], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(&schema(keys));
    }
    let rows = keys.iter().map(|key| {
        vec![key.name.to_owned(), key.variable(), key.default.clone().unwrap_or_default(), key.limit.clone()]
    });
    output::table(&["key", "variable", "default", "limits"], rows.collect())
}

/// A JSON Schema (2020-12) of the file: a table a level of the keys.
fn schema(keys: &[Key]) -> Value {
    let mut root = Map::new();
    for key in keys {
        let parts: Vec<_> = key.name.split('.').collect();
        insert(&mut root, &parts, property(key));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Partita's configuration file",
        "type": "object",
        "additionalProperties": false,
        "properties": root,
    })
}

fn insert(level: &mut Map<String, Value>, path: &[&str], property: Value) {
    match path {
        [] => {}
        [name] => {
            level.insert((*name).to_owned(), property);
        }
        [table, rest @ ..] => {
            let empty = || json!({ "type": "object", "additionalProperties": false, "properties": {} });
            let below = level.entry((*table).to_owned()).or_insert_with(empty);
            if let Some(Value::Object(properties)) = below.get_mut("properties") {
                insert(properties, rest, property);
            }
        }
    }
}

fn property(key: &Key) -> Value {
    let description = format!("{}; variable {}", key.limit, key.variable());
    let default = key.default.as_deref();
    let mut property = match &key.shape {
        Shape::Text => json!({ "type": "string", "default": default }),
        Shape::Choice(names) => json!({ "type": "string", "enum": names, "default": default }),
        Shape::Switch => json!({ "type": "boolean", "default": default.map(|word| word == "on") }),
        Shape::Number { min, max } => json!({
            "type": "integer",
            "minimum": min,
            "maximum": max,
            "default": default.and_then(|number| number.parse::<i64>().ok()),
        }),
    };
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), Value::from(description));
        if key.default.is_none() {
            property.remove("default");
        }
    }
    property
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_key_is_a_property_with_its_bounds_and_its_variable() {
        let schema = schema(&Config::keys_unset().unwrap());
        let count = &schema["properties"]["lanes"]["properties"]["count"];
        assert_eq!((count["minimum"].as_i64(), count["maximum"].as_i64()), (Some(1), Some(64)));
        assert_eq!(count["default"].as_i64(), Some(2));
        assert!(count["description"].as_str().unwrap().ends_with("variable PARTITA_LANES__COUNT"));
        let enabled = &schema["properties"]["partitions"]["properties"]["enabled"];
        assert_eq!((enabled["type"].as_str(), enabled["default"].as_bool()), (Some("boolean"), Some(false)));
        assert!(schema["properties"]["database"]["properties"]["url"].get("default").is_none());
        assert_eq!(schema["properties"]["log"]["properties"]["format"]["enum"], json!(["pretty", "json"]));
    }

    #[test]
    fn the_schema_has_as_many_properties_as_there_are_keys() {
        fn leaves(schema: &Value) -> usize {
            let Some(properties) = schema["properties"].as_object() else { return 1 };
            properties.values().map(leaves).sum()
        }
        let keys = Config::keys_unset().unwrap();
        assert_eq!(leaves(&schema(&keys)), keys.len());
    }
}
