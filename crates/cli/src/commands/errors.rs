use clap::Args;

use crate::failure::Failure;
use crate::output::{self, Format};

/// The contract, whose comments are the pages.
const CONTRACT: &str = include_str!("../../../../proto/partita/v1/error.proto");
/// What every reason's name in the contract begins with, and its name on the wire does not.
const PREFIX: &str = "ERROR_REASON_";

/// Explain the reasons of errors.
#[derive(Debug, Args)]
pub(crate) struct ErrorsArgs {
    /// One of them, such as VERSION_CONFLICT
    reason: Option<String>,
}

/// A reason and the lines about it, the first of which says what it means.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    reason: &'static str,
    lines: Vec<&'static str>,
}

/// Prints all reasons with their meaning, or the page of one.
pub(crate) fn run(args: &ErrorsArgs, format: Format) -> Result<(), Failure> {
    let pages = pages();
    let Some(wanted) = &args.reason else { return list(&pages, format) };
    let wanted = wanted.to_uppercase().replace('-', "_");
    let wanted = wanted.strip_prefix(PREFIX).unwrap_or(&wanted);
    match pages.iter().find(|page| page.reason == wanted) {
        Some(page) if format == Format::Json => output::json(&page.document()),
        Some(page) => output::line(&format!("{}\n\n{}", page.reason, page.lines.join("\n").trim_end())),
        None => {
            let failure = Failure::usage(format!("there is no reason `{wanted}`"));
            Err(failure.next("see all of them with `partita errors`"))
        }
    }
}

fn list(pages: &[Page], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let documents: Vec<_> = pages.iter().map(Page::document).collect();
        return output::json(&documents);
    }
    let rows = pages.iter().map(|page| vec![page.reason.to_owned(), page.meaning()]).collect();
    output::table(&["reason", "meaning"], rows)
}

/// The pages of all reasons that are sent, in the order of the contract.
fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    let mut lines = Vec::new();
    for line in CONTRACT.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("//") {
            lines.push(comment.strip_prefix(' ').unwrap_or(comment));
            continue;
        }
        let lines = std::mem::take(&mut lines);
        let reason = line.strip_prefix(PREFIX).and_then(|rest| rest.split(' ').next());
        if let Some(reason) = reason.filter(|reason| *reason != "UNSPECIFIED") {
            pages.push(Page { reason, lines });
        }
    }
    pages
}

impl Page {
    /// The first sentence.
    fn meaning(&self) -> String {
        let until_code = self.lines.iter().take_while(|line| !line.starts_with("Code:") && !line.is_empty());
        let text = until_code.copied().collect::<Vec<_>>().join(" ");
        text.split_inclusive(". ").next().unwrap_or_default().trim().trim_end_matches('.').to_owned()
    }

    fn document(&self) -> serde_json::Value {
        serde_json::json!({ "reason": self.reason, "meaning": self.meaning(), "page": self.lines.join("\n") })
    }
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::ErrorReason;

    use super::*;

    #[test]
    fn every_reason_has_a_page_with_code_cure_and_promises() {
        let pages = pages();
        let sent = (1..).map_while(|number| ErrorReason::try_from(number).ok());
        for reason in sent {
            let name = reason.as_str_name().trim_start_matches(PREFIX);
            let page = pages.iter().find(|page| page.reason == name).unwrap_or_else(|| panic!("{name}"));
            let text = page.lines.join("\n");
            for part in ["Code: ", "Do: ", "Retry: ", "Applied: "] {
                assert!(text.contains(part), "{name} lacks {part}");
            }
            assert!(!page.meaning().is_empty() && !page.meaning().contains("Code"), "{name}");
        }
    }
}
