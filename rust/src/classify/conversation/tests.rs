use super::Conversation;
use crate::json::Tree;

fn read(messages: &str) -> Conversation {
    let body = format!(r#"{{"messages":[{messages}]}}"#);
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    Conversation::read(tree.root(text))
}

const USER: &str = r#"{"role":"user","content":"Weather?"}"#;
const CALL: &str = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function"}]}"#;

fn result(content: &str) -> String {
    format!(r#"{{"role":"tool","tool_call_id":"1","content":"{content}"}}"#)
}

#[test]
fn a_single_turn_has_no_context() {
    assert_eq!(read(USER), Conversation::default());
}

#[test]
fn a_tool_loop_is_under_way_from_the_call_to_the_next_user_turn() {
    assert!(read(&format!("{USER},{CALL}")).tool_loop);
    assert!(read(&format!("{USER},{CALL},{}", result("sunny"))).tool_loop);
    assert!(!read(&format!("{USER},{CALL},{},{USER}", result("sunny"))).tool_loop);
}

#[test]
fn errors_in_tool_results_are_counted_since_the_last_user_turn() {
    let failed = result(r#"{\"error\": \"no such city\"}"#);
    assert_eq!(read(&format!("{USER},{CALL},{failed},{CALL},{failed}")).tool_errors, 2);
    assert_eq!(read(&format!("{USER},{CALL},{failed},{USER}")).tool_errors, 0);
    assert_eq!(read(&format!("{USER},{CALL},{}", result("21 degrees"))).tool_errors, 0);
    assert_eq!(
        read(&format!("{USER},{CALL},{}", result("Traceback (most recent call last)"))).tool_errors,
        1
    );
}

#[test]
fn depth_and_context_grow_with_the_conversation() {
    let facts = read(&format!(r#"{{"role":"system","content":"Be kind."}},{USER},{USER},{USER}"#));
    assert_eq!(facts.earlier_turns, 2);
    assert!(facts.context_bytes > 20);
}

#[test]
fn tools_are_counted() {
    let body = format!(r#"{{"messages":[{USER}],"tools":[{{"type":"function"}},{{"type":"function"}}]}}"#);
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    assert_eq!(Conversation::read(tree.root(text)).tools, 2);
}
