//! Calls as a violation prints them: a line each.

use std::fmt;

use super::{AppendAnswer, AppendDeed, Call, Deed, LookupDeed, ReadDeed, ReadEnd, Refused};

impl fmt::Display for Call {
    /// One line: moments, time, who, what, answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service.map_or("database".to_owned(), |index| format!("service {index}"));
        let (begun, ended, seconds) = (self.begun, self.ended, self.at.as_secs_f64());
        write!(f, "{begun}-{ended} {seconds:.3}s worker {} at {service}: ", self.worker)?;
        match &self.deed {
            Deed::Append(append) => append.fmt(f),
            Deed::Read(read) => read.fmt(f),
            Deed::Lookup(lookup) => lookup.fmt(f),
            Deed::Floor(found) => write!(f, "floor of {} -> {}", found.tenant, found.floor),
        }
    }
}

impl fmt::Display for AppendDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "append {} {}", self.request_id, self.tenant)?;
        for part in &*self.parts {
            let marks: Vec<&str> = part.events.iter().map(|event| event.mark.as_str()).collect();
            write!(f, " {} expecting {} [{}]", part.stream, part.expected, marks.join(" "))?;
        }
        match &self.answer {
            AppendAnswer::Recorded { events, replayed } => {
                let versions: Vec<String> = events.iter().map(|place| place.version.to_string()).collect();
                let said = if *replayed { "replayed" } else { "recorded" };
                let positions: Vec<String> =
                    events.iter().filter_map(|place| place.position).map(|place| place.to_string()).collect();
                write!(f, " -> {said} as {} at [{}]", versions.join(" "), positions.join(" "))
            }
            AppendAnswer::Refused(Refused { reason, conflict: Some((stream, version)) }) => {
                write!(f, " -> {reason}, {stream} is at {version}")
            }
            AppendAnswer::Refused(Refused { reason, conflict: None }) => write!(f, " -> {reason}"),
            AppendAnswer::Unknown(why) => write!(f, " -> unknown: {why}"),
        }
    }
}

impl fmt::Display for ReadDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}", self.key)?;
        if self.asked.backwards {
            f.write_str(" backwards")?;
        }
        if let Some(from) = self.asked.from_version {
            write!(f, " from {from}")?;
        }
        if let Some(count) = self.asked.max_count {
            write!(f, " at most {count}")?;
        }
        if let Some(from) = self.asked.from_timestamp {
            write!(f, " since {from}")?;
        }
        if let Some(to) = self.asked.to_timestamp {
            write!(f, " before {to}")?;
        }
        let versions: Vec<String> = self.events.iter().map(|event| event.version.to_string()).collect();
        write!(f, " -> [{}], ", versions.join(" "))?;
        match &self.end {
            ReadEnd::Whole { version, first_version } => {
                write!(f, "stream has {first_version} to {version}")
            }
            ReadEnd::Cut(why) => write!(f, "cut: {why}"),
            ReadEnd::NotFound => f.write_str("not found"),
        }
    }
}

impl fmt::Display for LookupDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "look up in {}", self.tenant)?;
        match &self.found {
            Some(found) => {
                let there = found.iter().filter(|(_, version)| version.is_some()).count();
                write!(f, " -> {there} of {} recorded", found.len())
            }
            None => f.write_str(" -> no answer"),
        }
    }
}
