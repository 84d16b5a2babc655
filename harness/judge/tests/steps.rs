//! Steps, windows, deadlines, and the verdict as a whole.

use super::*;

const PAIRING: &str = "
- start: agent
- expect:
    transitions:
      - { from: absent, to: Connected, within: 10s }
      - { to: Synchronized, within: 5s }
";

#[test]
fn a_walk_in_order_and_in_time_passes() {
    let mut story = Story::new();
    // The transition comes before the engine has written down that it waits for it.
    story.began().paired().done().began().at(3000).synchronized().done();
    passed(&story.judged(&scenario("", PAIRING)));
}

#[test]
fn a_walk_over_another_state_breaks_with_the_two_ways_aligned() {
    let mut story = Story::new();
    story.act().began().paired().at(2000).armed("down").fired("down");
    let now = story.clock();
    story.written(json!({"status": {
        "connectionState": "SynchronizationFailed",
        "synchronizationStatus": {"lastAttempt": now, "error": "x"},
    }}));
    story.failed();
    let verdict = story.judged(&scenario("", PAIRING));
    let finding = only_finding(&verdict);
    assert_eq!(finding.span.map(|span| span.line), Some(17));
    assert_eq!(finding.step, Some(1));
    insta::assert_snapshot!("aligned_walks", finding);
    assert!(finding.entries.last().expect("entries").contains("SynchronizationFailed"));
}

#[test]
fn a_walk_that_ends_early_breaks_at_its_deadline() {
    let mut story = Story::new();
    story.act().began().paired();
    let connected = story.now;
    let scenario = scenario("", PAIRING);
    let mut watch = Watch::new(Arc::new(scenario), terms());
    for entry in &story.entries {
        watch.see(entry);
    }
    let Outcome::Pending { until: Some(until) } = watch.step() else {
        panic!("{:?}", watch.step())
    };
    assert!(until <= connected + Duration::from_secs(5), "{until:?}");
    watch.advance(until);
    assert!(!watch.step().is_decided(), "the deadline itself is still in time");
    watch.advance(until + Duration::from_micros(1));
    assert!(matches!(watch.step(), Outcome::Broken(_)));
}

#[test]
fn deadlines_are_stretched_on_a_slow_machine() {
    let mut story = Story::new();
    story.act().began().at(15_000).paired().at(24_000).synchronized().done();
    let slow = Terms { speed_factor: 2.0, ..terms() };
    let scenario = Arc::new(scenario("", PAIRING));
    passed(&judge(Arc::clone(&scenario), slow, &story.entries));
    only_finding(&judge(scenario, terms(), &story.entries));
}

#[test]
fn the_verdict_does_not_depend_on_who_asks_in_between() {
    let mut story = Story::new();
    story.act().began().at(9000).paired().at(15_000).synchronized().failed();
    let scenario = Arc::new(scenario("", PAIRING));
    let at_once = judge(Arc::clone(&scenario), terms(), &story.entries);
    let mut watch = Watch::new(scenario, terms());
    let mut last = Duration::ZERO;
    for entry in &story.entries {
        for quarter in 1..4 {
            watch.advance(last + (entry.elapsed() - last) * quarter / 4);
            let _ = watch.step();
        }
        last = entry.elapsed();
        watch.see(entry);
    }
    let piecemeal = watch.finish(last);
    assert_eq!(at_once.judgement, piecemeal.judgement);
    assert_eq!(at_once.findings[0].observed, piecemeal.findings[0].observed);
}

#[test]
fn no_change_between_two_steps_is_lost() {
    // `Connected` and `Synchronized` come before the engine has ended the first wait.
    let steps = "
- start: agent
- waitFor: { state: Connected }
  within: 10s
- expect: { transitions: [{ from: Connected, to: Synchronized, within: 5s }] }
";
    let mut story = Story::new();
    story.act().began().paired().synchronized().done().began().done();
    passed(&story.judged(&scenario("", steps)));
}

#[test]
fn a_fault_is_blamed_by_the_record() {
    let steps = "
- inject: { id: down, at: director, fault: tcp.refuse }
- inject: { id: up, at: connector, fault: tcp.refuse }
- expect: { transitions: [{ to: Connected }, { to: ConnectionMaintenanceFailed, because: up }] }
";
    let tell = |culprit: &str| {
        let mut story = Story::new();
        story.began().armed("down").done().began().armed("up").done().began().paired();
        story.fired(culprit);
        let now = story.clock();
        story.written(json!({"status": {
            "connectionState": "ConnectionMaintenanceFailed",
            "connectionStatus": {"lastSync": now, "error": "x"},
        }}));
        // Both fire in the end, so that nothing is left unproven.
        story.fired("down").fired("up").done();
        story.judged(&scenario("", steps))
    };
    passed(&tell("up"));
    let verdict = tell("down");
    assert!(only_finding(&verdict).observed.contains("down fired before it, not up"));
}

#[test]
fn a_closed_port_is_blamed_for_every_failure_until_it_is_opened() {
    let steps = "
- start: agent
- inject: { id: down, at: director, fault: tcp.refuse }
- expect: { transitions: [{ to: Connected }, { to: Synchronized }, { to: SynchronizationFailed, because: down }] }
";
    let mut story = Story::new();
    // The port closes while a round is under way that has what it needs and ends well.
    story.act().began().paired().armed("down").fired("down").done().began().synchronized();
    let now = story.at(2000).clock();
    story.written(json!({"status": {
        "connectionState": "SynchronizationFailed",
        "synchronizationStatus": {"lastAttempt": now, "error": "refused"},
    }}));
    story.done();
    passed(&story.judged(&scenario("", steps)));
}

#[test]
fn a_fault_that_never_fired_leaves_the_run_unproven() {
    let mut story = Story::new();
    story.began().armed("down").done();
    let steps = "- inject: { id: down, at: director, fault: tcp.refuse }";
    let verdict = story.judged(&scenario("", steps));
    assert_eq!(verdict.judgement, Judgement::NotProven { faults: vec!["down".into()] });
    assert_eq!(verdict.requirements["CONN-01"], RequirementResult::Open);
}

#[test]
fn a_record_with_holes_gives_no_verdict() {
    let mut story = Story::new();
    story.act().push(RecorderEvent::Lost { reason: "410".into() });
    let verdict = story.judged(&scenario("", "- start: agent"));
    assert!(matches!(verdict.judgement, Judgement::NotJudged { record_is_broken: true, .. }));
}

#[test]
fn what_the_harness_could_not_do_is_not_the_agents_fault() {
    let mut story = Story::new();
    story.began().push(StepEvent::Ended {
        index: 0,
        result: StepResult::Impossible("no such program".into()),
    });
    let verdict = story.judged(&scenario("", "- start: agent\n- stop: agent"));
    let Judgement::NotJudged { reason, record_is_broken: false } = &verdict.judgement else {
        panic!("{:?}", verdict.judgement)
    };
    assert_eq!(reason, "step 1 cannot be done: no such program");
}

#[test]
fn a_run_that_was_cut_is_not_passed() {
    let mut story = Story::new();
    story.act();
    let verdict = story.judged(&scenario("", PAIRING));
    assert!(matches!(verdict.judgement, Judgement::NotJudged { .. }), "{:?}", verdict.judgement);
    story.began();
    let verdict = story.judged(&scenario("", PAIRING));
    assert!(only_finding(&verdict).observed.starts_with("the run ended before that"));
}

#[test]
fn a_scenario_that_proves_no_must_cannot_fail() {
    let mut story = Story::new();
    story.act().began().at(20_000).failed();
    let steps = "- start: agent\n- expect: { state: Synchronized }";
    let verdict = story.judged(&scenario_that_proves("[CERT-09]", "", steps, ""));
    assert_eq!(verdict.judgement, Judgement::Passed);
    assert_eq!(verdict.remarks.len(), 1);
    assert_eq!(verdict.requirements["CERT-09"], RequirementResult::Broken);
}

#[test]
fn a_promise_that_is_broken_is_known_at_once_and_stays_so() {
    let always = "- name: No failure\n  state: { never: [ConnectionFailed] }";
    let scenario = scenario(always, "- start: agent");
    let mut story = Story::new();
    story.began().state("ConnectionFailed");
    let mut watch = Watch::new(Arc::new(scenario.clone()), terms());
    for entry in &story.entries {
        watch.see(entry);
    }
    assert_eq!(watch.findings().len(), 1);
    let mut remark = Story::new();
    remark.began().paired().connection(json!({"status": {"connectionStatus": {"error": "old"}}}));
    let mut deviating = Watch::new(Arc::new(scenario.clone()), terms());
    remark.entries.iter().for_each(|entry| deviating.see(entry));
    assert!(deviating.findings().is_empty(), "a deviation from STAT-06 stops nobody");
    story.paired().done();
    let verdict = story.judged(&scenario);
    let finding = only_finding(&verdict);
    assert_eq!(finding.claim, "No failure");
    assert_eq!(finding.observed, "the state is ConnectionFailed");
}

#[test]
fn what_an_agent_writes_while_it_is_told_to_end_breaks_no_promise() {
    let always = "- state: { never: [ConnectionMaintenanceFailed] }";
    let scenario = scenario(always, "- start: agent\n- expect: { state: Synchronized }");
    let tell = |told_early: bool| {
        let told = AgentEvent::Told { signal: "SIGTERM".into() };
        let mut story = Story::new();
        story.act().began().paired().synchronized();
        if !told_early {
            story.done();
        }
        story.push(told);
        let now = story.clock();
        story.written(json!({"status": {
            "connectionState": "ConnectionMaintenanceFailed",
            "connectionStatus": {"lastSync": now, "error": "context canceled"},
        }}));
        if told_early {
            story.done();
        }
        story.judged(&scenario)
    };
    passed(&tell(false));
    only_finding(&tell(true));
}

#[test]
fn what_holds_afterwards_is_judged_at_the_end_only() {
    let afterwards = "- state: Synchronized\n- certificates: { issuedAtMost: 1 }";
    let scenario = scenario_that_proves("[CONN-01]", "", "- start: agent", afterwards);
    let mut story = Story::new();
    story.began().paired().synchronized().done();
    passed(&story.judged(&scenario));
    let now = story.clock();
    story.written(json!({"status": {
        "connectionState": "SynchronizationFailed",
        "synchronizationStatus": {"lastAttempt": now, "error": "x"},
    }}));
    assert_eq!(
        only_finding(&story.judged(&scenario)).observed,
        "the state is SynchronizationFailed"
    );
}

#[test]
fn a_long_journal_takes_time_in_proportion_to_its_length() {
    let always = "
- state: { never: [ConnectionFailed] }
- requests: { to: director, operation: applications, atMost: 5, per: 1s }
- applications: { neverFewerThan: 1000, since: firstSynchronized }
- secrets: { neverMissing: client-certificate, since: firstConnected }";
    let names: Vec<String> = (0..1000).map(|n| format!("a{n}")).collect();
    let steps = format!(
        "- start: agent\n- expect: {{ applications: {{ include: [{}] }}, state: Synchronized, within: 10h, stableFor: 1h }}",
        names.join(", ")
    );
    let scenario = Arc::new(scenario(always.trim(), &steps));
    let time = |rounds: u64| {
        let mut story = Story::new();
        story.act().began().paired();
        for name in &names {
            story.application(&format!("mp-{name}"), ObjectChange::Added);
        }
        for round in 1..rounds {
            story.at(round * 1000).synchronized();
        }
        story.done();
        let begun = std::time::Instant::now();
        let verdict = judge(Arc::clone(&scenario), terms(), &story.entries);
        assert!(verdict.findings.is_empty(), "{:#?}", verdict.findings);
        begun.elapsed()
    };
    let _ = time(100);
    let (short, long) = (time(250), time(2000));
    // Eight times as long; twice that is for a loaded machine, and a square would be 64 times.
    assert!(long < short * 30, "{short:?} for 250 rounds, {long:?} for 2000");
}
