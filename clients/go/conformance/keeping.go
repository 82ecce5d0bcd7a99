package main

import (
	"context"
	"errors"
	"iter"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// keeping is a follow of the client's that is in hand: its streams stay open between two steps.
type keeping struct {
	follow *managedagents.Follow
	next   func() (*v1.SessionEvent, error, bool)
	stop   func()
}

// keepFollowing reads the client's follow up to an event of the kind, or to the end.
func (r *runner) keepFollowing(ctx context.Context, given object) error {
	if r.keeping == nil {
		follow := r.client.Follow(r.current["session_id"], 0)
		next, stop := iter.Pull2(follow.Events(ctx))
		r.keeping = &keeping{follow, next, stop}
	}
	for {
		event, err, isThere := r.keeping.next()
		switch {
		case err != nil:
			r.leave()
			return r.failed("keep_following", err)
		case !isThere && r.keeping.follow.Ended() == nil:
			return errors.New("a follow is over when the session is")
		case !isThere:
			r.say("keep_following ended %s", dump(r.names.message(r.keeping.follow.Ended())))
			r.leave()
			return nil
		}
		r.say("%s", r.names.event(event))
		if managedagents.KindOf(event) == given["kind"] && has(r.names.payload(event), hasOf(given)) {
			return nil
		}
	}
}

// leave ends the client's follow, where there is one.
func (r *runner) leave() {
	if r.keeping != nil {
		r.keeping.stop()
	}
	r.keeping = nil
}

// hasOf is what a step wants an event or message to have.
func hasOf(given object) any {
	if wanted := given["has"]; wanted != nil {
		return wanted
	}
	return object{}
}
