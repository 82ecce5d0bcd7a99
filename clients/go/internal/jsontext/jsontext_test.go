package jsontext

import (
	"encoding/json"
	"testing"
)

func TestJSONIsWrittenSortedWithoutSpacesAndWithoutNeedlessEscapes(t *testing.T) {
	for _, one := range []struct {
		value  any
		wanted string
	}{
		{map[string]any{"b": json.Number("1.50"), "a": []any{"<&>", nil}}, `{"a":["<&>",null],"b":1.50}`},
		{"å \u2028 \u2029 \\u2028 \" \n \x01", "\"å \u2028 \u2029 " + `\\u2028 \" \n \u0001"`},
		{"not utf-8: \xff", "\"not utf-8: \uFFFD\""},
		{json.RawMessage("{ \"a\":  1 }"), `{"a":1}`},
	} {
		if written, err := Write(one.value); written != one.wanted || err != nil {
			t.Errorf("%s, %v should be %s", written, err, one.wanted)
		}
	}
}

func TestWhatJSONCannotHoldIsAnError(t *testing.T) {
	if written, err := Write(make(chan int)); err == nil {
		t.Error(written)
	}
}
