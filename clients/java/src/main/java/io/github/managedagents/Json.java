package io.github.managedagents;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.Strictness;
import com.google.gson.ToNumberPolicy;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** JSON as this client reads and writes it: whole numbers stay whole, what is no JSON is refused, nothing is left out. */
final class Json {
    static final Gson GSON = new GsonBuilder()
            .setStrictness(Strictness.STRICT)
            .setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
            .disableHtmlEscaping()
            .serializeNulls()
            .create();

    private static final Pattern ESCAPE = Pattern.compile("\\\\(?:u202([89])|.)");

    private Json() {}

    /** Compact, and characters as they are: Gson always escapes two that JSON has no need to. */
    static String write(Object value) {
        return ESCAPE.matcher(GSON.toJson(value)).replaceAll(found -> {
            String which = found.group(1);
            return which == null ? Matcher.quoteReplacement(found.group()) : which.equals("8") ? "\u2028" : "\u2029";
        });
    }
}
