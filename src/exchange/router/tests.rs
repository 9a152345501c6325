use std::collections::BTreeSet;

use lepus_protocol::FieldValue;
use proptest::prelude::*;

use super::*;

/// The types that find all destinations and take any key.
const ANY_KEY: [ExchangeType; 5] = [
    ExchangeType::Direct,
    ExchangeType::Fanout,
    ExchangeType::Topic,
    ExchangeType::Headers,
    ExchangeType::RecentHistory,
];

fn binding(key: &str, destination: u32) -> Binding<u32> {
    Binding { key: key.as_bytes().into(), arguments: FieldTable::new(), destination }
}

fn with_argument(key: &str, value: impl Into<FieldValue>, destination: u32) -> Binding<u32> {
    let mut binding = binding(key, destination);
    binding.arguments.insert("a", value);
    binding
}

fn router(kind: ExchangeType, bindings: &[Binding<u32>]) -> Router<u32> {
    let mut router = Router::new(kind, &FieldTable::new());
    bindings.iter().for_each(|binding| assert_eq!(router.bind(binding.clone()), Ok(true)));
    router
}

fn unbind(router: &mut Router<u32>, binding: &Binding<u32>) -> bool {
    router.unbind(&binding.key, &binding.arguments, &binding.destination)
}

fn found(router: &Router<u32>, key: &str) -> Vec<u32> {
    let mut found = Vec::new();
    router.route(&Subject::by_keys(&[key.as_bytes()]), &mut |destination| found.push(*destination));
    found
}

fn assert_no_residue(router: &Router<u32>) {
    assert!(router.is_empty() && router.bindings.is_empty());
    assert_eq!((router.rule_count(), router.bindings().count()), (0, 0));
}

#[test]
fn direct_compares_whole_keys() {
    let router =
        router(ExchangeType::Direct, &[binding("a", 1), binding("a", 2), binding("a.b", 3), binding("", 4)]);
    assert_eq!(found(&router, "a"), [1, 2]);
    assert_eq!(found(&router, ""), [4]);
    assert!(found(&router, "#").is_empty());
}

#[test]
fn fanout_finds_a_destination_once_however_many_its_keys() {
    let (one, other) = (binding("a", 1), binding("b", 1));
    let mut router = router(ExchangeType::Fanout, &[one.clone(), other.clone(), binding("", 2)]);
    assert_eq!(found(&router, "z"), [1, 2]);
    assert!(unbind(&mut router, &one));
    assert_eq!(found(&router, "z"), [1, 2]);
    assert!(unbind(&mut router, &other));
    assert_eq!(found(&router, "z"), [2]);
}

#[test]
fn an_equal_binding_stays_alone() {
    for kind in ANY_KEY {
        let mut router = router(kind, &[with_argument("k", "v", 1)]);
        assert_eq!(router.bind(with_argument("k", "v", 1)), Ok(false));
        assert_eq!(router.len(), 1);
        assert!(unbind(&mut router, &with_argument("k", "v", 1)));
        assert!(!unbind(&mut router, &with_argument("k", "v", 1)));
        assert_no_residue(&router);
    }
}

#[test]
fn bindings_that_differ_only_in_arguments_live_and_die_apart() {
    let (one, other) = (with_argument("k", "v", 1), binding("k", 1));
    let mut router = router(ExchangeType::Direct, &[one.clone(), other.clone()]);
    assert_eq!(found(&router, "k"), [1]);
    assert!(unbind(&mut router, &other));
    assert_eq!(found(&router, "k"), [1]);
    assert!(unbind(&mut router, &one));
    assert_no_residue(&router);
}

#[test]
fn the_order_of_arguments_does_not_count_but_a_number_s_type_does() {
    // Seen on RabbitMQ 3.10.8.
    let mut ordered = with_argument("", 1_i32, 1);
    ordered.arguments.insert("b", 2_i32);
    let mut reversed = FieldTable::new();
    reversed.insert("b", 2_i32);
    reversed.insert("a", 1_i32);
    let mut router = router(ExchangeType::Headers, &[ordered, with_argument("", 3_u8, 1)]);
    assert!(router.unbind(b"", &reversed, &1));
    assert!(!unbind(&mut router, &with_argument("", 3_i32, 1)));
    assert!(unbind(&mut router, &with_argument("", 3_u8, 1)));
    assert_no_residue(&router);
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let mut router = Router::new(ExchangeType::Headers, &FieldTable::new());
    let mut wrong = binding("", 1);
    wrong.arguments.insert("x-match", "some");
    assert!(matches!(router.bind(wrong), Err(BindError::UnknownMatch(_))));
    assert_eq!(router.bind(binding(&"k".repeat(256), 1)), Err(BindError::KeyTooLong(256)));
    assert_no_residue(&router);
    let other_type = &mut Router::new(ExchangeType::Topic, &FieldTable::new());
    assert_eq!(other_type.bind(with_argument("", "some", 1)), Ok(true));
}

#[test]
fn a_destination_s_end_takes_its_bindings_along() {
    for kind in ANY_KEY {
        let own = [with_argument("a.*", "v", 1), binding("#", 1), with_argument("", 2_i32, 1)];
        let mut router = router(kind, &own);
        assert_eq!(router.bind(binding("other", 2)), Ok(true));
        assert_eq!(router.remove_destination(&1), 3);
        assert_eq!(found(&router, "other"), [2]);
        assert_eq!((router.len(), router.rule_count()), (1, 1));
        assert_eq!(router.remove_destination(&1), 0);
        assert_eq!(router.remove_destination(&2), 1);
        assert_no_residue(&router);
    }
}

#[test]
fn a_hundred_thousand_queues_come_and_go() {
    // Were the end of one queue to cost what all queues cost, this would not end in a test's time.
    for kind in ANY_KEY {
        let bindings = |queue: u32| {
            [binding("shared", queue), with_argument("shared.#", queue.to_string().as_str(), queue)]
        };
        let mut router = Router::new(kind, &FieldTable::new());
        for queue in 0..100_000 {
            bindings(queue).into_iter().for_each(|binding| assert_eq!(router.bind(binding), Ok(true)));
        }
        assert_eq!(router.len(), 200_000);
        for queue in 0..100_000 {
            assert_eq!(router.remove_destination(&queue), 2);
        }
        assert_no_residue(&router);
    }
}

#[test]
fn one_queue_may_have_twenty_thousand_bindings() {
    for kind in ANY_KEY {
        let bindings = || (0..20_000).map(|number| with_argument(&format!("k.{number}"), number, 1));
        let mut router = Router::new(kind, &FieldTable::new());
        bindings().for_each(|binding| assert_eq!(router.bind(binding), Ok(true)));
        assert_eq!(router.bindings_to(&1).count(), 20_000);
        bindings().for_each(|binding| assert!(unbind(&mut router, &binding)));
        assert_no_residue(&router);
    }
}

/// Of the kinds whose definition fits in a line; topic and headers have models of their own.
fn matches_by_definition(kind: ExchangeType, binding_key: &str, key: &str) -> bool {
    kind == ExchangeType::Fanout || binding_key == key
}

proptest! {
    #[test]
    fn it_holds_and_finds_what_a_plain_list_does(
        kind in prop::sample::select(&[ExchangeType::Direct, ExchangeType::Fanout][..]),
        calls in prop::collection::vec((0..5, "[ab]{0,2}", 0..2_i32, 0_u32..4), 0..60),
    ) {
        let mut router = Router::new(kind, &FieldTable::new());
        let mut model = BTreeSet::new();
        for (call, key, value, queue) in calls {
            let binding = with_argument(&key, value, queue);
            match call {
                0 => prop_assert_eq!(unbind(&mut router, &binding), model.remove(&(key.clone(), value, queue))),
                1 => {
                    let before = model.len();
                    model.retain(|(_, _, other)| *other != queue);
                    prop_assert_eq!(router.remove_destination(&queue), before - model.len());
                }
                _ => prop_assert_eq!(router.bind(binding), Ok(model.insert((key.clone(), value, queue)))),
            }
            prop_assert_eq!(router.len(), model.len());
            prop_assert_eq!(router.bindings().count(), model.len());
            let mut found = found(&router, &key);
            found.sort_unstable();
            let matching = model.iter().filter(|(other, _, _)| matches_by_definition(kind, other, &key));
            let expected: BTreeSet<u32> = matching.map(|(_, _, queue)| *queue).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
        (0..4).for_each(|queue| { router.remove_destination(&queue); });
        assert_no_residue(&router);
    }
}
