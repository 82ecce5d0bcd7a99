package managedagents

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// sum is what both cost together; nil is nothing. Every count of the message is summed up, those to come, too.
func sum(one, other *v1.Usage) *v1.Usage {
	total := &v1.Usage{}
	proto.Merge(total, one)
	counts := total.ProtoReflect()
	other.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Kind() == protoreflect.Int64Kind {
			counts.Set(field, protoreflect.ValueOfInt64(counts.Get(field).Int()+value.Int()))
		}
		return true
	})
	total.ModelTime = durationpb.New(one.GetModelTime().AsDuration() + other.GetModelTime().AsDuration())
	return total
}
