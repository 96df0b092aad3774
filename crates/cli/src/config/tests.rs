use std::fs;
use std::path::Path;

use super::*;

fn load(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Config, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("partita.toml");
    fs::write(&path, file).unwrap();
    let args = ConfigArgs { config: Some(path), set: flags.iter().map(|&flag| flag.to_owned()).collect() };
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let mut reader = Reader::new(layers::collect(&args, environment)?);
    let config = Config::read(&mut reader, Config::default());
    reader.finish().map(|_| config)
}

fn mistakes(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> String {
    let failure = load(file, environment, flags).unwrap_err();
    assert_eq!(failure.exit(), crate::failure::Exit::Usage);
    failure.text()
}

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

#[test]
fn each_layer_overrides_the_one_before() {
    let file = "listen = \"0.0.0.0:1\"\n[partitions]\nmonths_ahead = 3\nretention_months = 4\n[log]\nformat = 'json'";
    let environment = [
        ("DB_PARTITION_MONTHS_AHEAD", "5"),
        ("DB_PARTITION_RETENTION_MONTHS", "0"),
        ("PARTITA_LANES__COUNT", "4"),
        ("PARTITA_LISTEN", ""),
        ("HOME", "/nowhere"),
    ];
    let config = load(file, &environment, &["partitions.months_ahead=6"]).unwrap();
    assert_eq!((config.months_ahead, config.retention_months, config.lanes.count), (6, 0, 4));
    assert_eq!(config.listen, "0.0.0.0:1".parse().unwrap());
    assert_eq!(
        (config.log.format, config.log.filter.as_str()),
        (LogFormat::Json, "info,sqlx::postgres::notice=warn")
    );
    assert_eq!(config.read_connections_max, Config::default().read_connections_max);
}

#[test]
fn a_key_of_a_hundred_thousand_levels_is_unknown_and_no_more() {
    let deep = "a.".repeat(100_000);
    assert!(mistakes("", &[], &[&format!("{deep}b=1")]).contains("is no key of the configuration"));
    let variable = format!("PARTITA_{}B", "A__".repeat(100_000));
    assert!(mistakes("", &[(&variable, "1")], &[]).contains("is no key of the configuration"));
}

#[test]
fn the_flag_takes_every_usual_spelling() {
    let enabled = |word| load("", &[("DB_PARTITIONS_V1", word)], &[]).map(|config| config.partitions_enabled);
    for (word, expected) in
        [("1", true), ("true", true), ("ON", true), ("0", false), ("False", false), ("off", false)]
    {
        assert_eq!(enabled(word).unwrap(), expected, "{word}");
    }
    assert!(!enabled("").unwrap());
    assert!(enabled("yes please").unwrap_err().text().contains("DB_PARTITIONS_V1"));
    assert!(load("partitions.enabled = true", &[], &[]).unwrap().partitions_enabled);
}

#[test]
fn all_mistakes_are_told_at_once_with_source_and_limit() {
    let file = "listne = 'x'\n[partitions]\nmonths_ahead = 121\n[lanes]\ncount = [1]";
    let text = mistakes(
        file,
        &[("PARTITA_LOG__FORMAT", "xml"), ("DB_PARTITION_RETENTION_MONTHS", "-1"), ("PARTITA_NONSENSE", "1")],
        &["drain_timeout_seconds=soon"],
    );
    assert!(text.contains("has 7 mistakes"), "{text}");
    for part in [
        "listne: is no key",
        "partitions.months_ahead: is `121`, must be a whole number from 0 to 120 (",
        "partita.toml)",
        "lanes.count: is a list or a table",
        "log.format: is `xml`, must be one of pretty, json (environment variable PARTITA_LOG__FORMAT)",
        "partitions.retention_months: is `-1`",
        "(environment variable DB_PARTITION_RETENTION_MONTHS)",
        "nonsense: is no key of the configuration (environment variable PARTITA_NONSENSE)",
        "drain_timeout_seconds: is `soon`, must be a whole number from 0 to 3600 (--set)",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_bad_database_url_is_refused_without_being_repeated() {
    let text = mistakes("", &[("DATABASE_URL", "mysql://ann:hush@db/x")], &[]);
    assert!(text.contains("database.url: must begin with postgres://") && !text.contains("hush"), "{text}");
}

#[test]
fn variables_of_clients_and_of_kubernetes_services_are_passed_over() {
    let environment = [
        ("PARTITA_SERVER", "http://x"),
        ("PARTITA_SERVICE_HOST", "10.0.0.1"),
        ("PARTITA_SERVICE_PORT_GRPC", "50051"),
        ("PARTITA_PORT", "tcp://10.0.0.1:50051"),
        ("PARTITA_PORT_50051_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(load("", &environment, &[]).unwrap(), Config::default());
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_mistake() {
    let args = ConfigArgs { config: Some("/nowhere/partita.toml".into()), set: Vec::new() };
    assert!(layers::collect(&args, std::iter::empty()).unwrap_err().text().contains("/nowhere/partita.toml"));
    assert!(mistakes("listen = ", &[], &[]).contains("cannot read the configuration file"));
}

#[test]
fn the_defaults_are_those_of_the_store() {
    let url = DatabaseUrl::parse("postgres://db/x").unwrap();
    let (ours, stores) = (Config::default().store(url.clone()), StoreConfig::new(url));
    assert_eq!(format!("{ours:?}"), format!("{stores:?}"));
}

#[test]
fn the_example_file_holds_every_key_and_the_defaults() {
    let example = repository("deploy/partita.example.toml");
    assert_eq!(load(&example, &[], &[]).unwrap(), Config::default());

    let args = ConfigArgs::default();
    let mut reader = Reader::new(layers::collect(&args, std::iter::empty()).unwrap());
    let _config = Config::read(&mut reader, Config::default());
    let reference = repository("docs/configuration.md");
    for key in reader.known() {
        let name = key.rsplit('.').next().unwrap();
        assert!(example.contains(&format!("{name} = ")), "{key} is missing in the example");
        assert!(reference.contains(&format!("| `{key}` |")), "{key} is missing in the reference");
    }
}

#[test]
fn a_dump_names_each_source_and_hides_the_password() {
    let flags = ["database.url=postgres://ann:hush@db:5433/events".to_owned(), "lanes.count=3".to_owned()];
    let args = ConfigArgs { config: None, set: flags.to_vec() };
    let mut reader = Reader::new(layers::collect(&args, std::iter::empty()).unwrap());
    let _config = Config::read(&mut reader, Config::default());
    let keys = reader.finish().unwrap();
    let key = |name| keys.iter().find(|key| key.name == name).unwrap();
    assert_eq!(key("database.url").shown(), Some("postgres://ann@db:5433/events"));
    assert_eq!((key("lanes.count").shown(), key("lanes.count").source()), (Some("3"), "--set"));
    assert_eq!((key("log.filter").source(), key("maintenance.enabled").shown()), ("default", Some("on")));
    assert!(!format!("{keys:?}").contains("hush"));
}

#[test]
fn every_variable_leads_back_to_its_key() {
    for key in Config::keys_unset().unwrap() {
        let environment = [(key.variable().into(), "x".into())].into_iter();
        let tree = layers::collect(&ConfigArgs::default(), environment).unwrap();
        let failure = {
            let mut reader = Reader::new(tree);
            let _config = Config::read(&mut reader, Config::default());
            reader.finish().err().map(|failure| failure.text()).unwrap_or_default()
        };
        // `x` is a fine filter, path or name, and no value of any other key.
        let texts = ["log.filter", "auth.jwt.issuer", "auth.jwt.audience"];
        let takes_any =
            texts.contains(&key.name) || key.name.ends_with("_file") || key.name.ends_with("_claim");
        assert!(takes_any || failure.contains(&format!("{}: ", key.name)), "{}", key.variable());
        assert!(!failure.contains("is no key"), "{failure}");
    }
}
