//! The sandbox: what a cage built here and now is made of, layer by layer, and which levels a daemon could ask for.
//!
//! It looks as the user who runs it; a daemon of another user may find other layers.

use super::Finding;
use actum_sandbox::{Launcher, LayerReport, Level, Report};

/// One finding for the level, one for each layer that is missing, one for the levels that work.
pub(super) fn all() -> Vec<Finding> {
    findings(&Launcher::of_this_program().probe())
}

fn findings(report: &Report) -> Vec<Finding> {
    let mut findings = vec![level(report)];
    findings.extend(report.layers.iter().filter(|layer| !layer.in_force).map(missing));
    findings.push(levels(&report.level));
    findings
}

fn level(report: &Report) -> Finding {
    let name = "sandbox";
    let in_force: Vec<String> = report
        .layers
        .iter()
        .filter(|layer| layer.in_force)
        .map(|layer| match layer.detail.as_str() {
            "" => layer.layer.to_string(),
            detail => format!("{} ({detail})", layer.layer),
        })
        .collect();
    let found = format!("{}: {}", report.level, in_force.join(", "));
    match &report.level {
        Level::Full => Finding::ok(name, found),
        Level::Partial(_) => Finding::warn(
            name,
            found,
            "give it the layers below, or start the daemon with `--sandbox partial`",
        ),
        Level::None => {
            let why = report.refused.as_deref().unwrap_or("no cage could be built");
            let fix = report
                .hint
                .unwrap_or("without one programs and sessions run only with `--sandbox none`");
            Finding::warn(name, format!("none: {why}"), fix)
        }
    }
}

fn missing(layer: &LayerReport) -> Finding {
    let detail = if layer.detail.is_empty() { "" } else { ": " };
    let weight = if layer.required {
        "required for `full`"
    } else {
        "good to have"
    };
    let found = format!(
        "{} is not in force{detail}{}; {weight}",
        layer.layer, layer.detail
    );
    Finding::warn(
        "sandbox layer",
        found,
        layer.hint.unwrap_or("see `actum explain SANDBOX_UNAVAILABLE`"),
    )
}

fn levels(level: &Level) -> Finding {
    let found = match level {
        Level::Full => "full (the default), partial and none work here",
        Level::Partial(_) => "partial and none work here; with full programs and sessions are refused",
        Level::None => "only none works here; with full and partial programs and sessions are refused",
    };
    Finding::ok("--sandbox", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use actum_sandbox::Layer;

    #[test]
    fn a_missing_layer_is_told_with_its_hint() {
        let report = Report {
            level: Level::Partial(vec![Layer::Landlock]),
            layers: vec![LayerReport {
                layer: Layer::Landlock,
                in_force: false,
                required: true,
                detail: "not in this kernel".to_owned(),
                hint: Some(Layer::Landlock.hint()),
            }],
            refused: None,
            hint: None,
        };
        let found = findings(&report);
        let states: Vec<State> = found.iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Warn, State::Warn, State::Ok]);
        let layer = found.get(1).map(|finding| finding.found.as_str());
        assert_eq!(
            layer,
            Some("landlock is not in force: not in this kernel; required for `full`")
        );
    }

    #[test]
    fn no_cage_at_all_says_why_and_what_to_do() {
        let report = Report {
            level: Level::None,
            layers: Vec::new(),
            refused: Some("user namespaces are off".to_owned()),
            hint: None,
        };
        let first = level(&report);
        assert_eq!(first.found, "none: user namespaces are off");
        assert!(first.fix.is_some_and(|fix| fix.contains("--sandbox none")));
    }
}
