use super::{Quotes, looks_like_code};

fn quoted(text: &str, inner: &str) -> bool {
    let start = text.find(inner).expect("the inner text is there");
    Quotes::read(text).around(start, start + inner.len()).is_some()
}

#[test]
fn what_stands_between_marks_is_quoted() {
    assert!(quoted("he said \"go home\" and left", "go home"));
    assert!(quoted("the flag `go home` is set", "go home"));
    assert!(quoted("they call it 'go home' here", "go home"));
}

#[test]
fn what_stands_outside_or_crosses_a_mark_is_not_quoted() {
    assert!(!quoted("he said \"go\" home", "go\" home"));
    assert!(!quoted("\"a\" go home \"b\"", "go home"));
}

#[test]
fn apostrophes_open_no_quotation() {
    assert!(!quoted("don't go home, it's late", "go home"));
}

#[test]
fn an_open_mark_quotes_nothing() {
    assert!(!quoted("he said \"go home and left", "go home"));
}

#[test]
fn code_is_told_from_prose_by_its_signs() {
    assert!(looks_like_code(
        "def build(prompt: str) -> list[str]:\n    return [word.strip() for word in prompt.split(\"_\") if word]\n"
    ));
    assert!(!looks_like_code(
        "Please write a letter to the landlord about the heating (it is broken) and ask when he will come to mend it."
    ));
    assert!(!looks_like_code("f(x)"));
}
