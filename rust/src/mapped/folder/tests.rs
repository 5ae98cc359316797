use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering::SeqCst;

use super::*;

const KIND: [u8; 8] = *b"a-kind-1";

fn folder(directory: &Path) -> Folder {
    Folder::open(directory, Process::current()).unwrap()
}

fn map(folder: &Folder) -> Result<Shared, MapError> {
    folder.map("a", KIND, 16, |words| words[5] = 55)
}

#[test]
fn a_folder_is_named_by_the_boot_and_is_this_users_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = folder(&directory.path().join("deep/limits")).path_of("a");
    let parent = path.parent().unwrap();
    assert!(parent.ends_with(boot_id()));
    assert_eq!(fs::metadata(parent).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(parent, PermissionsExt::from_mode(0o750)).unwrap();
    let again = Folder::open(&directory.path().join("deep/limits"), Process::current());
    assert!(matches!(again, Err(MapError::NotOurs { .. })));
}

#[test]
fn what_one_mapping_writes_another_reads_and_only_the_first_fills() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (folder(directory.path()), folder(directory.path()));
    let first = map(&one).unwrap();
    first.words()[9].store(99, SeqCst);
    let second = other.map("a", KIND, 16, |_| panic!("it is there")).unwrap();
    assert_eq!(
        second.words().iter().map(|word| word.load(SeqCst)).collect::<Vec<_>>()[5..10],
        [55, 0, 0, 0, 99]
    );
    assert_eq!(fs::metadata(one.path_of("a")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&one.path).unwrap().count(), 1, "an unfinished file was left");
}

#[test]
fn many_that_make_a_file_at_once_share_one() {
    let directory = tempfile::tempdir().unwrap();
    let folder = folder(directory.path());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| map(&folder).unwrap().words()[7].fetch_add(1, SeqCst));
        }
    });
    assert_eq!(map(&folder).unwrap().words()[7].load(SeqCst), 8);
}

#[test]
fn a_file_that_is_not_ours_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let folder = folder(directory.path());
    drop(map(&folder).unwrap());
    let whole = fs::read(folder.path_of("a")).unwrap();
    let other_kind = [&[whole[0] ^ 1], &whole[1..]].concat();
    for bad in [&[][..], &whole[..64], &other_kind, &[&whole[..], &[0; 8]].concat()] {
        fs::write(folder.path_of("a"), bad).unwrap();
        let Err(error) = map(&folder) else { panic!("{} bytes were taken", bad.len()) };
        assert!(matches!(error, MapError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("delete it"));
    }
}

#[test]
fn a_folder_that_cannot_be_made_says_so() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let Err(error) = Folder::open(&directory.path().join("file"), Process::current()) else { panic!() };
    assert!(error.to_string().starts_with("cannot make a folder that workers share: "), "{error}");
}
