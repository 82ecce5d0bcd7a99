package managedagents

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// call asks, and asks again with the very same request, and so the same request id, while that may help.
func call[Request proto.Message, Response any](
	ctx context.Context, c *Client, method func(context.Context, Request, ...grpc.CallOption) (Response, error),
	request Request,
) (Response, error) {
	request = withID(request)
	began, delays := time.Now(), backoffDelays{}
	var before *Error
	for {
		response, err := attempt(ctx, c, method, request)
		if err == nil {
			c.heard.Store(true)
			return response, nil
		}
		if ctx.Err() != nil {
			return response, over(ctx, before)
		}
		before = c.failure(err)
		delay := delays.next(before.RetryAfter)
		if !before.passes || time.Since(began)+delay > c.patience() {
			return response, before
		}
		if !sleep(ctx, delay) {
			return response, over(ctx, before)
		}
	}
}

func attempt[Request proto.Message, Response any](
	ctx context.Context, c *Client, method func(context.Context, Request, ...grpc.CallOption) (Response, error),
	request Request,
) (Response, error) {
	if c.settings.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.settings.patience)
		defer cancel()
	}
	return method(ctx, request)
}

// patience is how long a server may be away: short until it has answered once, so that a wrong address is told soon.
func (c *Client) patience() time.Duration {
	if c.heard.Load() || c.settings.patience == 0 {
		return c.settings.patience
	}
	return c.settings.connectTimeout
}

// over is the error of a call whose context is over, with what the server said before that.
func over(ctx context.Context, before *Error) error {
	if before == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w; before that: %w", ctx.Err(), before)
}

// sleep tells whether the time passed before the context was over.
func sleep(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// withID is the request with a request id: a copy, where it is one that has none and wants one.
func withID[Request proto.Message](request Request) Request {
	field := request.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || request.ProtoReflect().Has(field) {
		return request
	}
	request = proto.CloneOf(request)
	var id [16]byte
	rand.Read(id[:]) // It never fails.
	request.ProtoReflect().Set(field, protoreflect.ValueOfString(hex.EncodeToString(id[:])))
	return request
}

type page interface{ GetNextPageToken() string }

// pages goes over the rows of all pages from the request's on.
func pages[Request proto.Message, Page page, Row any](
	ctx context.Context, list func(context.Context, Request) (Page, error), request Request, rows func(Page) []Row,
) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		request := proto.CloneOf(request)
		token := request.ProtoReflect().Descriptor().Fields().ByName("page_token")
		for {
			page, err := list(ctx, request)
			if err != nil {
				var none Row
				yield(none, err)
				return
			}
			for _, row := range rows(page) {
				if !yield(row, nil) {
					return
				}
			}
			if page.GetNextPageToken() == "" {
				return
			}
			request.ProtoReflect().Set(token, protoreflect.ValueOfString(page.GetNextPageToken()))
		}
	}
}
