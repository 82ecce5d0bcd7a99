package main

import "testing"

func TestNumbersArePrintedAsTheyAreWritten(t *testing.T) {
	value := parsed([]byte(`{"a": [1.50, 12345678901234567890]}`))
	const wanted = `{"a":[1.50,12345678901234567890]}`
	if written := dump(value); written != wanted {
		t.Errorf("%s should be %s", written, wanted)
	}
}

func TestIDsGetNamesInTheOrderOfTheSortedKeysAndWordsAStar(t *testing.T) {
	names := newNames()
	said := names.stable(parsed([]byte(
		`{"toolUseId": "use_9", "customToolUseId": "use_1", "ids": ["use_9", "x"], "message": "words"}`)), "")
	const wanted = `{"customToolUseId":"use#1","ids":["use_9","x"],"message":"*","toolUseId":"use#2"}`
	if written := dump(said); written != wanted {
		t.Error(written)
	}
	if written := dump(names.stable(parsed([]byte(`["use_9"]`)), "")); written != `["use#2"]` {
		t.Error(written)
	}
	if id := names.ids("use#2"); id != "use_9" {
		t.Error(id)
	}
}

func TestAMessageHasWhatIsWantedOfIt(t *testing.T) {
	said := parsed([]byte(`{"a": {"b": 1, "c": [1]}, "d": "x"}`))
	for wanted, is := range map[string]bool{
		`{}`: true, `{"a": {"b": 1}}`: true, `{"a": {"c": [1]}}`: true,
		`{"a": {"b": 2}}`: false, `{"e": 1}`: false, `{"d": {}}`: false,
	} {
		if has(said, parsed([]byte(wanted))) != is {
			t.Errorf("%s: %t", wanted, !is)
		}
	}
}
