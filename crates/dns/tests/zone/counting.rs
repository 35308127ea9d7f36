//! Answering allocates nothing.

use ropewalk_dns::emit::Writer;
use ropewalk_dns::types::{Class, Name, Type};
use ropewalk_dns::zone::Ask;

#[test]
fn an_answer_takes_no_memory() {
    let table = include_str!("../tables/zone.txt");
    let text = table.split("\n? ").next().unwrap();
    let text: Vec<_> = text.lines().filter(|line| !line.starts_with("//")).collect();
    let zone = super::zone(&text.join("\n")).unwrap();
    let mut asked = 0;
    for case in table.split("\n? ").skip(1) {
        let mut words = case.lines().next().unwrap().split(' ');
        let owner = Name::from_text(words.next().unwrap().as_bytes(), zone.origin()).unwrap();
        let rtype: Type = words.next().unwrap().parse().unwrap();
        let mut buffer = [0; 1232];
        let used = allocation_counter::measure(|| {
            let mut writer = Writer::new(&mut buffer).unwrap();
            writer.question(owner.borrowed(), rtype, Class::IN).unwrap();
            zone.answer(&Ask::new(owner.borrowed(), rtype), &mut writer).unwrap();
            assert!(writer.finish() > 12);
        });
        assert_eq!(used.count_total, 0, "{owner} {rtype}");
        asked += 1;
    }
    assert!(asked > 40);
}
