package io.github.managedagents;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Metadata;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** How a client is connected; made by {@link Client#builder}. */
public final class ClientBuilder {
    private static final int MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

    private final String address;
    private String token = "";
    private ChannelCredentials credentials = InsecureChannelCredentials.create();
    private String serverName;
    private Duration connectTimeout = Duration.ofSeconds(5);
    private Duration patience = Duration.ofSeconds(60);
    private Duration heartbeatTimeout = Duration.ofSeconds(30);

    ClientBuilder(String address) {
        this.address = address;
    }

    /** Sent with each call as a bearer token. */
    public ClientBuilder token(String bearerToken) {
        token = bearerToken;
        return this;
    }

    /** How the connection is encrypted: {@link io.grpc.TlsChannelCredentials}. Without this it is plain text. */
    public ClientBuilder tls(ChannelCredentials channelCredentials) {
        credentials = channelCredentials;
        return this;
    }

    /** The name that the server's certificate must have. Without this it is the host of the address. */
    public ClientBuilder serverName(String name) {
        serverName = name;
        return this;
    }

    /** How long to try a server that has never answered: 5 s. */
    public ClientBuilder connectTimeout(Duration duration) {
        connectTimeout = duration;
        return this;
    }

    /**
     * How long to go on with a server that has answered, and how long one call may take: 60 s. Zero: nothing is asked
     * again, and a call takes the time that its context gives it.
     */
    public ClientBuilder patience(Duration duration) {
        patience = duration;
        return this;
    }

    /** How long a stream may be silent before it counts as cut: 30 s. The server gives a sign of life every 10. */
    public ClientBuilder heartbeatTimeout(Duration duration) {
        heartbeatTimeout = duration;
        return this;
    }

    /** The client. */
    public Client build() {
        Metadata headers = new Metadata();
        if (!token.isEmpty()) {
            headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
        }
        NettyChannelBuilder channel = NettyChannelBuilder.forTarget(address, credentials)
                // A batch of a stream is 3 MiB and more; gRPC's own bound of 4 MiB leaves little above that.
                .maxInboundMessageSize(MAX_MESSAGE_BYTES)
                .disableRetry()
                .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
                // A machine that vanished closes no connection. A follower hears from its server every 10 s, so
                // that a ping goes out only when that is overdue.
                .keepAliveTime(20, TimeUnit.SECONDS)
                .keepAliveTimeout(10, TimeUnit.SECONDS);
        if (!connectTimeout.isZero()) {
            channel.withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, Math.toIntExact(connectTimeout.toMillis()));
        }
        if (serverName != null) {
            channel.overrideAuthority(serverName);
        }
        return new Client(new Calls(address, channel.build(), connectTimeout, patience, heartbeatTimeout));
    }
}
