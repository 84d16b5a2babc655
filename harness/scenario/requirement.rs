//! The conformance catalogue as data.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::document::{self, Kind};

/// The requirements on an agent, in the order of the catalogue.
#[derive(Debug, Clone, Deserialize)]
pub struct Catalogue {
    /// All of them.
    pub requirements: Vec<Requirement>,
}

impl Kind for Catalogue {
    const KIND: &'static str = "Catalogue";
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Requirement {
    /// `CONN-01` and the like; never changes its meaning.
    pub id: String,
    /// What failing it means.
    pub level: Level,
    /// The chapter of the catalogue.
    pub chapter: String,
    /// What is required.
    pub requirement: String,
    /// How it is provoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provoked: Option<String>,
    /// Where it is observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
}

/// What failing a requirement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Level {
    /// The agent does not conform.
    #[serde(rename = "MUST")]
    Must,
    /// A deviation that is reported.
    #[serde(rename = "SHOULD")]
    Should,
    /// Optional; an agent without it conforms.
    #[serde(rename = "EXT")]
    Extension,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Extension => "EXT",
        })
    }
}

impl Catalogue {
    /// The requirement with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| requirement.id == id)
    }

    /// All ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> + Clone {
        self.requirements.iter().map(|requirement| requirement.id.as_str())
    }
}

/// The catalogue of this harness.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
        let text = include_str!("../../fixtures/catalogue.yaml");
        document::parse("catalogue.yaml", text).expect("a test reads the shipped catalogue").content
    });
    &CATALOGUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_of_the_catalogue_is_there_once_and_in_order() {
        let chapters = [
            ("CONN", 17),
            ("CERT", 20),
            ("SYNC", 17),
            ("APP", 10),
            ("STAT", 11),
            ("K8S", 8),
            ("RES", 6),
            ("SEC", 7),
        ];
        let expected: Vec<String> = chapters
            .iter()
            .flat_map(|(chapter, last)| (1..=*last).map(move |n| format!("{chapter}-{n:02}")))
            .collect();
        assert_eq!(catalogue().ids().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn levels_are_those_of_the_catalogue() {
        let of = |level| {
            let all = catalogue().requirements.iter();
            all.filter(|one| one.level == level).map(|one| one.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of(Level::Extension), ["APP-10"]);
        assert_eq!(
            of(Level::Should),
            [
                "CONN-15", "CONN-17", "CERT-09", "CERT-11", "CERT-15", "CERT-20", "SYNC-07",
                "SYNC-13", "SYNC-15", "SYNC-17", "APP-09", "STAT-06", "STAT-11", "K8S-07",
                "RES-06", "SEC-07"
            ]
        );
    }

    #[test]
    fn the_page_in_the_docs_says_what_the_data_says() {
        let page = include_str!("../../docs/catalogue.md");
        let rows =
            page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id |"));
        let rows: Vec<&str> = rows.filter(|line| !line.starts_with("| ---")).collect();
        let expected: Vec<String> = catalogue()
            .requirements
            .iter()
            .map(|one| {
                let Requirement { id, level, requirement, provoked, observed, .. } = one;
                let provoked = provoked.as_deref().unwrap_or_default();
                let observed = observed.as_deref().unwrap_or_default();
                format!("| {id} | {level} | {requirement} | {provoked} | {observed} |")
            })
            .collect();
        assert_eq!(rows, expected);
    }
}
