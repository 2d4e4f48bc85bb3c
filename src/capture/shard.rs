//! A part of a suite: one machine of several takes every N-th case, and the results are put together again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::find::Found;
use super::verify::Report;

/// Part `index` of `count`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            let shard = Self { index: index.parse().ok()?, count: count.parse().ok()? };
            (1..=shard.count).contains(&shard.index).then_some(shard)
        });
        parsed.ok_or_else(|| format!("'{text}' is not I/N with I from 1 to N"))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Shard {
    /// Its part of the cases: neighbours, which take similar times, go to different machines.
    pub fn of(self, cases: Vec<Found>) -> Vec<Found> {
        let own = |number: usize| number % self.count == self.index - 1;
        cases.into_iter().enumerate().filter(|(number, _)| own(*number)).map(|(_, case)| case).collect()
    }
}

/// Puts the results of all parts together, by the names of the cases; says which part is missing or there twice.
pub fn merge(parts: Vec<(Vec<Report>, Option<Shard>)>) -> Result<Vec<Report>, String> {
    if let Some(count) = parts.iter().find_map(|(_, shard)| Some((*shard)?.count)) {
        for index in 1..=count {
            let same = |shard: &Option<Shard>| *shard == Some(Shard { index, count });
            match parts.iter().filter(|(_, shard)| same(shard)).count() {
                1 => {}
                0 => return Err(format!("part {index}/{count} is missing")),
                _ => return Err(format!("part {index}/{count} is there more than once")),
            }
        }
        if parts.len() != count {
            return Err(format!("not all of the {} files are parts of {count}", parts.len()));
        }
    }
    let mut all: Vec<Report> = parts.into_iter().flat_map(|(reports, _)| reports).collect();
    all.sort_by(|a, b| (&a.name, &a.directory).cmp(&(&b.name, &b.directory)));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_in_one_part() {
        let cases: Vec<Found> =
            (0..10).map(|n| Found { name: n.to_string(), directory: n.to_string().into() }).collect();
        let part = |text: &str| text.parse::<Shard>().unwrap().of(cases.clone());
        let names = |text: &str| part(text).into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names("2/4"), ["1", "5", "9"]);
        let all: usize = (1..=4).map(|index| part(&format!("{index}/4")).len()).sum();
        assert_eq!(all, 10);
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_that_are_missing_are_named() {
        let part = |index| (Vec::new(), Some(Shard { index, count: 2 }));
        assert!(merge(vec![part(1), part(2)]).is_ok());
        assert_eq!(merge(vec![part(1)]).unwrap_err(), "part 2/2 is missing");
        assert_eq!(merge(vec![part(1), part(1)]).unwrap_err(), "part 1/2 is there more than once");
    }
}
