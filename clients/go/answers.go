package managedagents

import (
	"sync"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// As many uses are remembered; the oldest is forgotten first.
const remembered = 100_000

type useKey struct{ sessionID, useID string }

// answers sees to it that each handler is called at most once for a use, however many runs of this client meet it.
type answers struct {
	mutex sync.Mutex
	// Nil: in hand, which is at work or sent. An answer: its sending failed.
	known map[useKey]*v1.UserEvent
	order []useKey
}

// take takes a use in hand, with the answer where one is there that could not be sent. False: it is in hand already.
func (a *answers) take(key useKey) (kept *v1.UserEvent, taken bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	kept, isKnown := a.known[key]
	if isKnown && kept == nil {
		return nil, false
	}
	if !isKnown {
		a.order = append(a.order, key)
	}
	if len(a.order) > remembered {
		delete(a.known, a.order[0])
		a.order = a.order[1:]
	}
	a.known[key] = nil
	return kept, true
}

// keep gives a use out of hand again, with the answer that could not be sent.
func (a *answers) keep(key useKey, answer *v1.UserEvent) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if _, isKnown := a.known[key]; isKnown {
		a.known[key] = answer
	}
}

// inHand: a handler is at work on the use, or its answer was sent.
func (a *answers) inHand(key useKey) bool {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	kept, isKnown := a.known[key]
	return isKnown && kept == nil
}
