package managedagents

import (
	"context"
	"crypto/rand"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// call asks, and asks again with the very same request, and so the same request id, while that may help.
func (c *Client) call(
	ctx context.Context, method string, request, response any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	request = withID(request.(proto.Message))
	attempt := func() error {
		ctx := ctx
		if c.patience > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.patience)
			defer cancel()
		}
		return invoke(ctx, method, request, response, connection, options...)
	}
	attempts := attempts{since: time.Now()}
	for {
		err := attempt()
		if err == nil {
			c.heard.Store(true)
			return nil
		}
		if ctx.Err() != nil {
			return attempts.over(ctx)
		}
		if err := attempts.wait(ctx, c, c.failure(err)); err != nil {
			return err
		}
	}
}

// withID is the request with a request id: a copy, where it is one that has none and wants one.
func withID(request proto.Message) proto.Message {
	field := request.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || request.ProtoReflect().Has(field) {
		return request
	}
	request = proto.Clone(request)
	request.ProtoReflect().Set(field, protoreflect.ValueOfString(rand.Text()))
	return request
}

// pages goes over the rows of all pages from the request's on.
func pages[Request proto.Message, Page interface{ GetNextPageToken() string }, Row any](
	ctx context.Context, list func(context.Context, Request, ...grpc.CallOption) (Page, error), request Request,
	rows func(Page) []Row,
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
