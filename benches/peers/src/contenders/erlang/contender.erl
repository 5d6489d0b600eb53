%% gen_server and supervisor of Erlang/OTP. Reads lines from standard input, each a client, what it
%% shall do and how often: "0 run 1000" or "0 each 1000". Answers each with a line: the client, and
%% how many nanoseconds each operation took, if that was asked for.
-module(contender).
-export([main/1, init/1, start_link/0, handle_call/3, handle_cast/2]).

main(Operation) ->
    ok = logger:set_primary_config(level, none),
    Target = start(Operation),
    io:put_chars("ready\n"),
    obey(Operation, Target).

start(restart) ->
    none;
start(_) ->
    {ok, Pid} = gen_server:start(?MODULE, server, []),
    spawn(fun() -> gone(monitor(process, Pid)), halt(1) end),
    Pid.

obey(Operation, Target) ->
    case io:get_line("") of
        eof ->
            halt();
        Line ->
            [Client, How, N] = string:lexemes(Line, " \n"),
            Count = list_to_integer(N),
            spawn(fun() -> or_halt(fun() -> answer(Client, client(How, Operation, Target, Count)) end) end),
            obey(Operation, Target)
    end.

or_halt(Work) ->
    try Work()
    catch _:Reason -> io:format(standard_error, "~p~n", [Reason]), halt(1)
    end.

answer(Client, Latencies) ->
    io:put_chars([Client, [[$\s, integer_to_list(Latency)] || Latency <- Latencies], $\n]).

client("run", call, Pid, N) -> calls(Pid, N), [];
client("run", cast, Pid, N) -> casts(Pid, N), [];
client("each", call, Pid, N) -> [timed(fun() -> call(Pid, I) end) || I <- lists:seq(1, N)];
client(_, restart, none, N) -> restarts(N).

timed(Operation) ->
    Start = erlang:monotonic_time(),
    Operation(),
    erlang:convert_time_unit(erlang:monotonic_time() - Start, native, nanosecond).

calls(_, 0) -> ok;
calls(Pid, N) -> call(Pid, N), calls(Pid, N - 1).

call(Pid, N) ->
    Answer = gen_server:call(Pid, {next, N}, infinity),
    Answer = N + 1.

casts(Pid, 1) ->
    gen_server:cast(Pid, {last, self(), 0, 0}),
    receive done -> ok end;
casts(Pid, N) ->
    gen_server:cast(Pid, {N, 0, 0, 0}),
    casts(Pid, N - 1).

%% A supervisor looks through all restarts of its period at each restart, so none lives for long.
restarts(0) -> [];
restarts(N) ->
    Some = min(N, 32),
    {ok, Supervisor} = supervisor:start_link(?MODULE, supervisor),
    Latencies = [timed(fun() -> restart(I) end) || I <- lists:seq(1, Some)],
    unlink(Supervisor),
    exit(Supervisor, shutdown),
    gone(monitor(process, Supervisor)),
    Latencies ++ restarts(N - Some).

gone(Monitor) -> receive {'DOWN', Monitor, _, _, _} -> ok end.

restart(I) ->
    gen_server:cast(counter, crash),
    call_again(I).

%% What is asked between a crash and the restart is refused, and asked again.
call_again(I) ->
    try call(counter, I)
    catch exit:_ -> erlang:yield(), call_again(I)
    end.

start_link() -> gen_server:start_link({local, counter}, ?MODULE, server, []).

init(server) ->
    {ok, 0};
init(supervisor) ->
    Flags = #{strategy => one_for_one, intensity => 1000000, period => 1},
    {ok, {Flags, [#{id => counter, start => {?MODULE, start_link, []}}]}}.

handle_call({next, N}, _, Sum) -> {reply, N + 1, Sum}.

handle_cast({last, Client, _, _}, Sum) -> Client ! done, {noreply, Sum};
handle_cast({N, _, _, _}, Sum) -> {noreply, (Sum + N) band 16#ffffffff};
handle_cast(crash, _) -> exit(crash).
