//! The rungs of the kernel: whole commands, decided and applied, against a System of a million nodes.

use super::floor::{Map, Sqlite, node};
use super::realm::Realm;
use crate::spread::Spread;
use crate::table::{Row, Table, progress};
use actum_graph::{NodeFilter, NodeId, Page};
use actum_model::graph::ViewName;
use actum_model::ids::Tenant;
use anyhow::Result;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

const SMALL: u64 = 1000;
/// Earlier versions of System that are kept while memory is measured, and forks beside them.
const VERSIONS: u64 = 64;
const FORKS: u64 = 100;
/// Repetitions of what takes microseconds.
const TIMES: u64 = 2000;

/// Numbers for nodes nobody has yet.
struct Fresh(u64);

impl Fresh {
    fn take(&mut self, count: u64) -> std::ops::Range<u64> {
        let from = self.0;
        self.0 += count;
        from..self.0
    }
}

pub(crate) fn rungs(folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let nodes = (1_000_000.0 * scale) as u64;
    let mut fresh = Fresh(nodes);
    progress(&format!("building a System of {nodes} nodes"));
    let before = resident()?;
    let (mut realm, built) = build(nodes)?;
    let held = shared(&mut realm, &mut fresh)?;
    let each = resident()?.saturating_sub(before) / nodes.max(1);
    let rate = nodes as f64 / built.as_secs_f64();
    table.add(Row::new(
        format!("{nodes} nodes by rewrites of 256 and one collapse"),
        format!("{rate:.0} nodes/s"),
    ));
    let mut row = Row::new(
        format!("memory per node, {VERSIONS} versions and {FORKS} forks kept"),
        format!("{each} bytes"),
    )
    .reach("≤ 600 bytes", each <= 600);
    row.memory_bytes = Some(each * nodes);
    table.add(row);
    for sws in held {
        realm.discard(sws)?;
    }

    progress("floors: the same rows in an ordered map and in SQLite");
    let map = Map::new(nodes)?;
    let rebuilt = map.rebuild_and_hash();
    let mut sqlite = Sqlite::new(&folder.join("graph.sqlite"), "NORMAL", nodes)?;

    forks(&mut realm, nodes, rebuilt, table)?;
    adds(&mut realm, &mut sqlite, &mut fresh, nodes, rebuilt, table)?;
    collapses(&mut realm, &mut sqlite, &mut fresh, nodes, rebuilt, table)?;
    pages(&realm, &map, &sqlite, nodes, table)
}

fn build(nodes: u64) -> Result<(Realm, Duration)> {
    let begun = Instant::now();
    let mut realm = Realm::new();
    let (sws, _) = realm.fork()?;
    realm.fill(sws, 0..nodes)?;
    realm.collapse(sws)?;
    Ok((realm, begun.elapsed()))
}

/// Changes System often, and forks it often; gives the forks.
fn shared(realm: &mut Realm, fresh: &mut Fresh) -> Result<Vec<u64>> {
    for _ in 0..VERSIONS {
        let (sws, _) = realm.fork()?;
        realm.fill(sws, fresh.take(1))?;
        realm.collapse(sws)?;
    }
    let mut forks = Vec::new();
    for _ in 0..FORKS {
        let (sws, _) = realm.fork()?;
        realm.fill(sws, fresh.take(1))?;
        forks.push(sws);
    }
    Ok(forks)
}

fn micros(duration: Duration) -> String {
    format!("{:.2} µs", duration.as_secs_f64() * 1e6)
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

fn spread(name: String, spread: &Spread) -> Row {
    let mut row = Row::new(name, micros(spread.p50()));
    (row.p50, row.p99) = (Some(spread.p50()), Some(spread.p99()));
    row
}

fn forks(realm: &mut Realm, nodes: u64, rebuilt: Duration, table: &mut Table) -> Result<()> {
    let (mut small, _) = build(SMALL)?;
    let mut whole = Vec::new();
    for (realm, size) in [(&mut small, SMALL), (realm, nodes)] {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let (sws, took) = realm.fork()?;
            times.push(took);
            realm.discard(sws)?;
        }
        let times = Spread::new(times);
        let mut row = spread(
            format!("fork: `sws.create`, the whole command, {size} nodes"),
            &times,
        );
        if size == nodes {
            row = row.reach("≤ 5 µs", times.p50() <= Duration::from_micros(5));
        }
        table.add(row);
        whole.push(times.p50());
        let view = &realm.state.graph.system.view;
        let begun = Instant::now();
        for _ in 0..TIMES {
            drop(black_box(black_box(view).clone()));
        }
        let each = begun.elapsed() / TIMES as u32;
        let row = Row::new(format!("fork: the view alone, {size} nodes"), micros(each));
        table.add(row.reach("≤ 5 µs", each <= Duration::from_micros(5)));
    }
    if let [few, many] = whole.as_slice() {
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        let row = Row::new(
            format!("fork: {nodes} nodes against {SMALL}"),
            format!("{ratio:.2} ×"),
        );
        table.add(row.reach("≤ 2 × (no growth)", ratio <= 2.0));
    }
    let mut times = Vec::new();
    for number in 0..TIMES {
        times.push(small.submit(&format!(r#"{{"type":"session.create","sessionId":"s{number}"}}"#))?);
    }
    let name = "floor: a command without the graph, `session.create`".to_owned();
    table.add(spread(name, &Spread::new(times)));
    table.add(Row::new(
        format!("floor: copy and hash an ordered map, {nodes} nodes"),
        millis(rebuilt),
    ));
    Ok(())
}

fn adds(
    realm: &mut Realm,
    sqlite: &mut Sqlite,
    fresh: &mut Fresh,
    nodes: u64,
    rebuilt: Duration,
    table: &mut Table,
) -> Result<()> {
    let (sws, _) = realm.fork()?;
    let (mut times, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let number = fresh.take(1);
        times.push(realm.submit(&super::rewrite(sws, number.clone()))?);
        rows.push(sqlite.insert(number)?);
    }
    realm.discard(sws)?;
    let times = Spread::new(times);
    let row = spread(
        format!("add one node, digest included, whole command, {nodes} nodes"),
        &times,
    );
    let reached = times.p50() <= Duration::from_micros(30);
    table.add(row.reach("≤ 30 µs", reached));
    let name = "floor: an ordered map copied and hashed anew".to_owned();
    table.add(Row::new(name, millis(rebuilt)));
    let name = "floor: SQLite (WAL, not durable), a row and its commit".to_owned();
    table.add(spread(name, &Spread::new(rows)));
    Ok(())
}

fn collapses(
    realm: &mut Realm,
    sqlite: &mut Sqlite,
    fresh: &mut Fresh,
    nodes: u64,
    rebuilt: Duration,
    table: &mut Table,
) -> Result<()> {
    for changes in [100, 1000, 10_000] {
        let (mut times, mut rows) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let (other, _) = realm.fork()?;
            let (sws, _) = realm.fork()?;
            let numbers = fresh.take(changes);
            realm.fill(sws, numbers.clone())?;
            realm.fill(other, fresh.take(1))?;
            // System goes on in between, so the merge has three sides.
            realm.collapse(other)?;
            times.push(realm.collapse(sws)?);
            rows.push(sqlite.insert(numbers)?);
        }
        let times = Spread::new(times);
        let each = times.p50() / changes as u32;
        let mut row = Row::new(
            format!("collapse of {changes} changes onto {nodes} nodes"),
            format!("{}, {} a change", millis(times.p50()), micros(each)),
        );
        (row.p50, row.p99) = (Some(times.p50()), Some(times.p99()));
        if changes == 1000 {
            row = row.reach("≤ 50 ms", times.p50() <= Duration::from_millis(50));
        }
        table.add(row);
        let rows = Spread::new(rows);
        let mut row = Row::new(
            format!("floor: SQLite (WAL, not durable), {changes} rows in one commit"),
            millis(rows.p50()),
        );
        (row.p50, row.p99) = (Some(rows.p50()), Some(rows.p99()));
        table.add(row);
    }
    let name = "floor: an ordered map copied and hashed anew".to_owned();
    table.add(Row::new(name, millis(rebuilt)));
    Ok(())
}

fn pages(realm: &Realm, map: &Map, sqlite: &Sqlite, nodes: u64, table: &mut Table) -> Result<()> {
    let (mut times, mut floor, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..TIMES {
        // Ids are hashes, so any node is at any depth.
        let after: NodeId = node(at * 7919 % nodes)?.id();
        let begun = Instant::now();
        let version = realm.state.version(&Tenant::main(), ViewName::System, None);
        let page = Page {
            first: 200,
            after: Some(after),
        };
        let paged = version
            .ok()
            .map(|version| version.view.nodes(&NodeFilter::default(), &page));
        black_box(paged);
        times.push(begun.elapsed());
        floor.push(map.page(*after.bytes()));
        rows.push(sqlite.page(*after.bytes())?);
    }
    let times = Spread::new(times);
    let row = spread(format!("page of 200 at any depth of {nodes} nodes"), &times);
    table.add(row.reach("p99 ≤ 1 ms", times.p99() <= Duration::from_millis(1)));
    table.add(spread(
        "floor: 200 rows of an ordered map".to_owned(),
        &Spread::new(floor),
    ));
    table.add(spread(
        "floor: SQLite, 200 rows by key".to_owned(),
        &Spread::new(rows),
    ));
    Ok(())
}

/// Resident bytes of this process.
fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).unwrap_or("0");
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}
