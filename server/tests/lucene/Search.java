// Indexes users and evaluates queries with Lucene's query parsers, for the comparison in tests/query/lucene.rs.
// Reads lines from standard input; texts are base64.
//
//   caseless FIELD            this field is compared case-insensitively
//   date FIELD                this field contains times
//   user                      starts the next user
//   text|boolean|number|time FIELD VALUE
//   exists FIELD
//   classic|precedence QUERY  prints a line: the indexes of the matching users, or "error MESSAGE"

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.Year;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.LowerCaseFilter;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.core.KeywordAnalyzer;
import org.apache.lucene.analysis.core.KeywordTokenizer;
import org.apache.lucene.analysis.miscellaneous.PerFieldAnalyzerWrapper;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.DoublePoint;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.LongPoint;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.queryparser.classic.ParseException;
import org.apache.lucene.queryparser.classic.QueryParser;
import org.apache.lucene.queryparser.flexible.precedence.PrecedenceQueryParser;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.MatchAllDocsQuery;
import org.apache.lucene.search.MatchNoDocsQuery;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.TermRangeQuery;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.util.BytesRef;

public class Search {
  static final Set<String> DATES = new HashSet<>();
  static final Map<String, Analyzer> CASELESS = new HashMap<>();
  // Values are not tokenized.
  static final Analyzer ANALYZER = new PerFieldAnalyzerWrapper(new KeywordAnalyzer(), CASELESS);

  static final Analyzer LOWER = new Analyzer() {
    @Override
    protected TokenStreamComponents createComponents(String field) {
      Tokenizer whole = new KeywordTokenizer();
      return new TokenStreamComponents(whole, new LowerCaseFilter(whole));
    }

    @Override
    protected TokenStream normalize(String field, TokenStream in) {
      return new LowerCaseFilter(in);
    }
  };

  public static void main(String[] arguments) throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    ByteBuffersDirectory directory = new ByteBuffersDirectory();
    IndexWriter writer = new IndexWriter(directory, new IndexWriterConfig(ANALYZER));
    Document user = null;
    List<String[]> queries = new ArrayList<>();
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] parts = line.split("\t", -1);
      String first = parts.length > 1 ? decode(parts[1]) : "";
      String second = parts.length > 2 ? decode(parts[2]) : "";
      switch (parts[0]) {
        case "caseless": CASELESS.put(first, LOWER); break;
        case "date": DATES.add(first); break;
        case "user":
          if (user != null) writer.addDocument(user);
          user = new Document();
          break;
        case "text": user.add(new StringField(first, term(first, second), Field.Store.NO)); break;
        case "boolean": user.add(new StringField(first + "#boolean", second, Field.Store.NO)); break;
        case "number": user.add(new DoublePoint(first + "#number", Double.parseDouble(second))); break;
        case "time": user.add(new LongPoint(first + "#time", Long.parseLong(second))); break;
        case "exists": user.add(new StringField("_exists_", first, Field.Store.NO)); break;
        default: queries.add(new String[] {parts[0], first});
      }
    }
    if (user != null) writer.addDocument(user);
    writer.forceMerge(1);
    writer.close();
    IndexSearcher searcher = new IndexSearcher(DirectoryReader.open(directory));
    StringBuilder out = new StringBuilder();
    for (String[] query : queries) {
      try {
        Query parsed = query[0].equals("classic") ? new Parser().parse(query[1]) : precedence(query[1]);
        ScoreDoc[] found = searcher.search(parsed, 1_000_000).scoreDocs;
        out.append(IntStream.range(0, found.length).map(at -> found[at].doc).sorted()
            .mapToObj(Integer::toString).collect(Collectors.joining(" ")));
      } catch (Exception error) {
        out.append("error ").append(String.valueOf(error.getMessage()).replaceAll("\\s+", " "));
      }
      out.append('\n');
    }
    System.out.write(out.toString().getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }

  static String decode(String text) {
    return new String(Base64.getDecoder().decode(text), StandardCharsets.UTF_8);
  }

  static String term(String field, String text) {
    return ANALYZER.normalize(field, text).utf8ToString();
  }

  static Query precedence(String text) throws Exception {
    PrecedenceQueryParser parser = new PrecedenceQueryParser(ANALYZER);
    return parser.parse(text, "");
  }

  static Double number(String text) {
    return text.matches("-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?") ? Double.valueOf(text) : null;
  }

  /** Returns the first millisecond of a partial date and the first one after it. */
  static long[] period(String text) {
    String t = text.endsWith("Z") ? text.substring(0, text.length() - 1) : text;
    LocalDateTime start;
    LocalDateTime end;
    switch (t.length()) {
      case 4: start = Year.parse(t).atDay(1).atStartOfDay(); end = start.plusYears(1); break;
      case 7: start = YearMonth.parse(t).atDay(1).atStartOfDay(); end = start.plusMonths(1); break;
      case 10: start = LocalDate.parse(t).atStartOfDay(); end = start.plusDays(1); break;
      case 13: start = LocalDateTime.parse(t + ":00"); end = start.plusHours(1); break;
      case 16: start = LocalDateTime.parse(t); end = start.plusMinutes(1); break;
      case 19: start = LocalDateTime.parse(t); end = start.plusSeconds(1); break;
      default: start = OffsetDateTime.parse(t + "Z").toLocalDateTime(); end = start.plusNanos(1_000_000);
    }
    return new long[] {start.toInstant(ZoneOffset.UTC).toEpochMilli(), end.toInstant(ZoneOffset.UTC).toEpochMilli()};
  }

  /** Lucene's classic parser, over fields of more than one type. */
  static class Parser extends QueryParser {
    Parser() {
      super("", ANALYZER);
      setAllowLeadingWildcard(true);
    }

    @Override
    protected Query getFieldQuery(String field, String text, boolean quoted) {
      if (field.equals("_exists_")) return new TermQuery(new Term(field, text));
      if (DATES.contains(field)) {
        long[] period = period(text);
        return LongPoint.newRangeQuery(field + "#time", period[0], period[1] - 1);
      }
      BooleanQuery.Builder any = new BooleanQuery.Builder();
      any.add(new TermQuery(new Term(field, term(field, text))), BooleanClause.Occur.SHOULD);
      any.add(new TermQuery(new Term(field + "#boolean", text)), BooleanClause.Occur.SHOULD);
      Double number = number(text);
      if (number != null) any.add(DoublePoint.newExactQuery(field + "#number", number), BooleanClause.Occur.SHOULD);
      return any.build();
    }

    @Override
    protected Query getFieldQuery(String field, String text, int slop) {
      return getFieldQuery(field, text, true);
    }

    @Override
    protected Query getRangeQuery(String field, String low, String high, boolean withLow, boolean withHigh) {
      if (low == null && high == null) return new TermQuery(new Term("_exists_", field));
      if (DATES.contains(field)) {
        long start = low == null ? Long.MIN_VALUE : period(low)[withLow ? 0 : 1];
        long end = high == null ? Long.MAX_VALUE : period(high)[withHigh ? 1 : 0] - 1;
        return start > end ? new MatchNoDocsQuery() : LongPoint.newRangeQuery(field + "#time", start, end);
      }
      BooleanQuery.Builder any = new BooleanQuery.Builder();
      BytesRef from = low == null ? null : new BytesRef(term(field, low));
      BytesRef to = high == null ? null : new BytesRef(term(field, high));
      any.add(new TermRangeQuery(field, from, to, withLow, withHigh), BooleanClause.Occur.SHOULD);
      Double least = low == null ? Double.valueOf(Double.NEGATIVE_INFINITY) : number(low);
      Double most = high == null ? Double.valueOf(Double.POSITIVE_INFINITY) : number(high);
      if (least != null && most != null) {
        double start = withLow || low == null ? least : DoublePoint.nextUp(least);
        double end = withHigh || high == null ? most : DoublePoint.nextDown(most);
        if (start <= end) any.add(DoublePoint.newRangeQuery(field + "#number", start, end), BooleanClause.Occur.SHOULD);
      }
      return any.build();
    }

    @Override
    protected Query getWildcardQuery(String field, String text) throws ParseException {
      // Like Elasticsearch: matches any value of any type.
      if (text.equals("*") && !field.equals("*")) return new TermQuery(new Term("_exists_", field));
      return super.getWildcardQuery(field, text);
    }

    // Like Elasticsearch: clauses that only prohibit are subtracted from all users.
    @Override
    protected Query getBooleanQuery(List<BooleanClause> clauses) throws ParseException {
      if (!clauses.isEmpty() && clauses.stream().allMatch(BooleanClause::isProhibited)) {
        clauses = new ArrayList<>(clauses);
        clauses.add(new BooleanClause(new MatchAllDocsQuery(), BooleanClause.Occur.MUST));
      }
      return super.getBooleanQuery(clauses);
    }
  }
}
