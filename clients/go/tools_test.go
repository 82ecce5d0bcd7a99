package managedagents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"testing"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// From a handler to what the model is told.

func asking(handler Handler, inputJSON string) *v1.UserToolResult {
	action := &v1.PendingAction{ToolUseId: "use_1", Name: "tool", InputJson: inputJSON}
	return ask(context.Background(), action, handler).GetUserToolResult()
}

func giving(result any) Handler {
	return func(context.Context, json.RawMessage) (any, error) { return result, nil }
}

func failingWith(err error) Handler {
	return func(context.Context, json.RawMessage) (any, error) { return nil, err }
}

func panicking(value any) Handler {
	return func(context.Context, json.RawMessage) (any, error) { panic(value) }
}

func TestAResultBecomesContent(t *testing.T) {
	type weather struct {
		City    string `json:"city"`
		Degrees int    `json:"degrees"`
	}
	for _, one := range []struct {
		result any
		told   string
	}{
		{"19", "19"},
		{"not utf-8: \xff", "not utf-8: \uFFFD"},
		{weather{"Oslo", 19}, `{"city":"Oslo","degrees":19}`},
		{map[string]any{"a": "<å>\u2028"}, "{\"a\":\"<å>\u2028\"}"},
		{[]int{1, 2}, "[1,2]"},
		{false, "false"},
		{Text("block"), "block"},
		{[]*v1.Content{Text("a"), Text("b")}, "ab"},
		{nil, ""},
		{"", ""},
	} {
		answer := asking(giving(one.result), "{}")
		if TextOf(answer.Content) != one.told || answer.IsError {
			t.Errorf("%v is told as %v", one.result, answer)
		}
		if one.told == "" && len(answer.Content) > 0 {
			t.Errorf("%v is told as content", one.result)
		}
	}
}

func TestTheInputArrivesInTheHandlersOwnType(t *testing.T) {
	type place struct{ City string }
	handler := Handle(func(_ context.Context, given place) (string, error) { return "in " + given.City, nil })
	if told := TextOf(asking(handler, `{"city": "Oslo"}`).Content); told != "in Oslo" {
		t.Error(told)
	}
	raw := func(_ context.Context, input json.RawMessage) (any, error) { return "got " + string(input), nil }
	if told := TextOf(asking(raw, "").Content); told != "got {}" {
		t.Error(told)
	}
	if answer := asking(handler, `{"city": 7}`); !answer.IsError {
		t.Error("an input of another type is no error")
	}
}

type noSuchCity struct{ city string }

func (n noSuchCity) Error() string { return "no such city: " + n.city }

func TestAHandlerThatFailsIsToldByItsMessage(t *testing.T) {
	for _, one := range []struct {
		handler Handler
		told    string
	}{
		{failingWith(noSuchCity{"Atlantis"}), "The tool failed: no such city: Atlantis"},
		{failingWith(errors.New("broken")), "The tool failed: broken"},
		{panicking("at the disco"), "The tool failed: at the disco"},
		{panicking(noSuchCity{"Ys"}), "The tool failed: no such city: Ys"},
	} {
		answer := asking(one.handler, "{}")
		if !answer.IsError || TextOf(answer.Content) != one.told {
			t.Errorf("%v should be %s", answer, one.told)
		}
	}
}

func TestAHandlerThatEndsItsGoroutineIsToldAsAnError(t *testing.T) {
	handler := func(context.Context, json.RawMessage) (any, error) {
		runtime.Goexit()
		return nil, nil
	}
	if answer := asking(handler, "{}"); !answer.IsError {
		t.Error(answer)
	}
}

func TestAResultThatJSONCannotHoldIsToldAsAnError(t *testing.T) {
	answer := asking(giving(make(chan int)), "{}")
	if !answer.IsError || TextOf(answer.Content) != "The tool's answer is no JSON." {
		t.Error(answer)
	}
}

func TestAnInputThatIsNoJSONIsToldAsAnError(t *testing.T) {
	answer := asking(giving("never"), "{")
	if !answer.IsError || TextOf(answer.Content) != "The input is no JSON." {
		t.Error(answer)
	}
}

func TestAHandlerKnowsTheIDOfItsUse(t *testing.T) {
	handler := func(ctx context.Context, _ json.RawMessage) (any, error) { return ToolUseID(ctx), nil }
	if told := TextOf(asking(handler, "{}").Content); told != "use_1" {
		t.Error(told)
	}
	if ToolUseID(context.Background()) != "" {
		t.Error("there is a use outside of a handler")
	}
}

func TestAHandlerThatWasStoppedIsToldAsBrokenOff(t *testing.T) {
	for name, heeds := range map[string]bool{"one that heeds its context": true, "one that does not": false} {
		ctx, cancel := context.WithCancel(context.Background())
		release := make(chan struct{})
		answer := ask(ctx, &v1.PendingAction{}, func(ctx context.Context, _ json.RawMessage) (any, error) {
			cancel()
			if heeds {
				return nil, context.Cause(ctx)
			}
			<-release
			return "never", nil
		})
		close(release)
		const told = "The tool was stopped before it was done; what it did is not known."
		if result := answer.GetUserToolResult(); TextOf(result.Content) != told || !result.IsError {
			t.Errorf("%s is told as %v", name, answer)
		}
	}
}

func TestAUseIsTakenInHandOnce(t *testing.T) {
	known := answers{known: map[useKey]*v1.UserEvent{}}
	key := useKey{"ses_1", "use_1"}
	if kept, taken := known.take(key); kept != nil || !taken {
		t.Error("a new use is not taken")
	}
	if _, taken := known.take(key); taken || !known.inHand(key) {
		t.Error("a use is taken twice")
	}
	if known.inHand(useKey{"ses_2", "use_1"}) {
		t.Error("another session's use is in hand")
	}
}

func TestAnAnswerThatCouldNotBeSentIsKept(t *testing.T) {
	known := answers{known: map[useKey]*v1.UserEvent{}}
	key := useKey{"ses_1", "use_1"}
	known.take(key)
	told := UserMessage("once")
	known.keep(key, told)
	if known.inHand(key) {
		t.Error("an answer that could not be sent is in hand")
	}
	if kept, taken := known.take(key); kept != told || !taken {
		t.Error("the answer was not kept")
	}
}

func TestTheOldestUsesAreForgotten(t *testing.T) {
	known := answers{known: map[useKey]*v1.UserEvent{}}
	for number := range remembered + 1 {
		known.take(useKey{"ses_1", fmt.Sprint(number)})
	}
	if known.inHand(useKey{"ses_1", "0"}) || !known.inHand(useKey{"ses_1", "1"}) {
		t.Error("not the oldest was forgotten")
	}
	if len(known.known) != remembered || len(known.order) != remembered {
		t.Errorf("%d are known", len(known.known))
	}
}
