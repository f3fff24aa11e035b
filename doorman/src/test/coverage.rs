//! The coverage of the rules by cases: in how many cases each rule matches, does not match, and is excepted.

use std::io;

use hub_doorman::policy::{Policy, RuleResult};

use super::Case;
use crate::screen::{Cell, Look, Screen, count};

/// The results that cases cover, in the order of the columns.
const RESULTS: [RuleResult; 3] = [RuleResult::Matches, RuleResult::DoesNotMatch, RuleResult::Excepted];

/// How the cases cover one rule.
#[derive(Debug, PartialEq, Eq)]
struct RuleCoverage<'p> {
    rule: &'p str,
    /// The number of cases for each of [`RESULTS`], or `None` if the rule cannot have this result.
    cases: [Option<u64>; 3],
}

impl RuleCoverage<'_> {
    fn is_complete(&self) -> bool {
        !self.cases.contains(&Some(0))
    }
}

/// Shows how the cases cover each rule, and returns whether they cover all rules.
pub(super) fn show(policy: &Policy, cases: &[Case], screen: &mut Screen) -> io::Result<bool> {
    let coverage = coverage(policy, cases);
    let rows = coverage.iter().map(|RuleCoverage { rule, cases }| {
        let number = |cases: &Option<u64>| match cases {
            None => Cell::new("-", Look::Faint),
            Some(0) => Cell::new("no case", Look::Bad),
            Some(number) => Cell::number(*number),
        };
        [Cell::plain(rule)].into_iter().chain(cases.iter().map(number)).collect()
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    if !rows.is_empty() {
        screen.table(&["rule", "matches", "does not match", "excepted"], rows)?;
    }
    let complete = coverage.iter().filter(|rule| rule.is_complete()).count();
    let all = count(coverage.len() as u64, "rule");
    screen.write_note(&format!("the cases cover {complete} of {all}"))?;
    Ok(complete == coverage.len())
}

fn coverage<'p>(policy: &'p Policy, cases: &[Case]) -> Vec<RuleCoverage<'p>> {
    let to_cover = policy.results_to_cover();
    let mut coverage: Vec<_> = to_cover
        .map(|(rule, possible)| {
            let cases = RESULTS.map(|result| possible.contains(&result).then_some(0));
            RuleCoverage { rule, cases }
        })
        .collect();
    for Case { repo, now, request, .. } in cases {
        let results = policy.evaluate_rules(request, repo, *now);
        for (rule, (_, result)) in coverage.iter_mut().zip(results) {
            let column = RESULTS.iter().position(|each| *each == result);
            let cases = column.and_then(|column| rule.cases.get_mut(column));
            if let Some(Some(cases)) = cases {
                *cases += 1;
            }
        }
    }
    coverage
}
