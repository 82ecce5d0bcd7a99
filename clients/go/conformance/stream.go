package main

import (
	"errors"
	"iter"

	"google.golang.org/protobuf/proto"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// stream gives events one by one, and whole messages of the other kinds.
type stream struct {
	pull   func() (*v1.StreamEventsResponse, error, bool)
	stop   func()
	unread []item
}

type item struct {
	kind    string
	message proto.Message
}

var errClosed = errors.New("the stream closed")

func open(messages iter.Seq2[*v1.StreamEventsResponse, error]) *stream {
	pull, stop := iter.Pull2(messages)
	return &stream{pull: pull, stop: stop}
}

func (s *stream) next() (item, error) {
	for len(s.unread) == 0 {
		message, err, isThere := s.pull()
		if !isThere {
			return item{}, errClosed
		}
		if err != nil {
			return item{}, err
		}
		if message.GetBatch() != nil {
			for _, event := range message.GetBatch().Events {
				s.unread = append(s.unread, item{"event", event})
			}
			continue
		}
		reflected := message.ProtoReflect()
		field := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("message"))
		if field != nil {
			s.unread = append(s.unread, item{string(field.Name()), reflected.Get(field).Message().Interface()})
		}
	}
	first := s.unread[0]
	s.unread = s.unread[1:]
	return first, nil
}
