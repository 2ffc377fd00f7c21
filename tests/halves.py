"""Of tests that run in both worlds, against both databases or in several cases: which half or case is of `make test-long` alone.

Both halves of a test tell the same of its subject; which one each run tries is the stricter of the two, or the quicker one where
neither is."""

from __future__ import annotations

LONG = {
    "scenarios/test_getting_in.py": {
        "test_an_invitation_is_good_as_long_as_its_maker_may_add": "real",
        "test_an_operator_s_link_sets_a_new_password_once": "real",
        "test_the_command_line_prints_such_a_link": "real",
    },
    "contracts/test_importing.py": {
        "test_a_store_that_comes_back_is_waited_for": "sqlite",
        "test_a_thousand_people_and_a_hundred_chats_twice": "sqlite",
        "test_what_cant_be_brought_is_told_and_the_rest_comes": "sqlite",
        "test_what_was_broken_off_goes_on": "sqlite",
    },
    "scenarios/test_issuers.py": {
        "test_a_host_s_token_means_the_user_that_its_backend_puts": "embedded",
        "test_a_logout_by_the_back_channel_ends_sessions_and_sockets": "embedded",
        "test_a_token_is_exchanged_for_a_session_of_ours": "embedded",
        "test_an_access_token_is_good_at_every_door": "embedded",
        "test_claims_follow_and_a_subject_stays_one_person": "embedded",
        "test_keys_rotate_under_load_without_a_false_refusal": "embedded",
        "test_what_a_token_doesn_t_say_stays_as_the_backend_said_it": "embedded",
        "test_what_has_ended_begins_nothing_new": "embedded",
    },
    "scenarios/test_server_api.py": {
        "test_a_chat_is_put_as_the_host_has_it": "embedded",
        "test_a_refused_chat_leaves_its_name_free": "embedded",
        "test_a_thousand_users_in_one_call_twice": "embedded",
        "test_an_erased_user_leaves_what_was_said_and_nothing_else": "embedded",
        "test_each_scope_alone_opens_what_the_table_says": "embedded",
        "test_names_are_found_for_those_who_have_none": "embedded",
        "test_users_are_put_as_the_host_has_them": "embedded",
        "test_what_the_host_says_as_itself_and_as_a_user": "embedded",
    },
    "scenarios/test_keys.py": {
        "test_a_bot_ends_with_who_made_it_and_a_service_s_is_nobody_s": "embedded",
        "test_a_bot_talks_and_is_a_member_like_others_but_owns_nothing": "embedded",
        "test_a_key_ends_by_itself_and_with_its_person": "embedded",
        "test_a_key_has_limits_of_its_own": "embedded",
        "test_a_key_on_the_socket": "embedded",
        "test_a_key_opens_what_its_scopes_say": "embedded",
        "test_a_key_that_is_ended_is_over_on_every_gateway_and_socket": "embedded",
        "test_a_socket_by_ticket_ends_with_its_key": "embedded",
        "test_no_key_makes_keys_or_touches_passwords_and_sessions": "embedded",
        "test_what_is_no_key_is_not_good": "embedded",
    },
    "contracts/test_accounts.py": {
        "test_a_refresh_token_rotates_and_one_used_before_ends_its_session": "sqlite",
        "test_what_is_over_is_forgotten_and_a_person_has_fifty_sessions": "sqlite",
    },
    "contracts/test_circles.py": {"test_no_read_leaves_circles": "sqlite"},
    "scenarios/test_accounts.py": {
        "test_a_sign_in_with_the_old_password_does_not_outlive_its_change": "embedded",
        "test_operators_disable_people_and_all_of_it_is_written_down": "embedded",
        "test_register_sign_in_refresh_and_me": "real",
        "test_the_last_operator_stays_and_pages_of_people_end": "real",
    },
    "scenarios/test_behind_a_proxy.py": {"test_pages_lead_to_each_other_under_the_path": "Caddy"},
    "scenarios/test_bounds_and_privacy.py": {"test_no_text_token_or_key_is_ever_printed": "embedded"},
    "scenarios/test_chats.py": {"test_twenty_strangers_an_hour_add_somebody": "real"},
    "scenarios/test_client.py": {"test_a_bot_misses_nothing_that_came_while_it_was_down": "embedded"},
    "scenarios/test_documents_served.py": {
        "test_every_call_has_a_summary_its_errors_and_examples": "real",
        "test_no_frame_undocumented_whatever_is_sent": "embedded",
        "test_pages_are_whole_and_name_nothing_outside": "real",
    },
    "scenarios/test_door.py": {"test_slow_and_oversize_requests_are_cut": "real"},
    "scenarios/test_examples.py": {"test_the_bridge_leaves_nothing_out_and_goes_on_where_it_stopped": "real"},
    "scenarios/test_foreign.py": {
        "test_every_call_about_a_chat_says_to_outsiders_what_it_says_of_none": "embedded",
        "test_every_request_of_the_socket_about_a_chat_says_to_outsiders_what_it_says_of_none": "embedded",
    },
    "scenarios/test_hostile_input.py": {
        "test_reads_have_a_budget_of_their_own_that_tells_how_much_is_left": "embedded",
        "test_who_asks_for_a_socket_and_says_nothing_of_it_is_let_go": "embedded",
    },
    "scenarios/test_hostile_table.py": {"test_each_request_of_the_socket_spoiled_in_each_field": "embedded"},
    "scenarios/test_matrix.py": {"test_the_matrix_by_rest": "real", "test_the_matrix_by_socket": "embedded"},
    "scenarios/test_messages.py": {"test_the_same_id_by_every_door_is_one_message": "embedded"},
    "scenarios/test_moderation.py": {
        "test_a_chat_without_anybody_to_manage_it_is_handed_over": "real",
        "test_a_reported_message_is_seen_deleted_and_the_report_closed": "embedded",
        "test_people_are_muted_and_banned_until_a_time_or_for_ever": "embedded",
    },
    "scenarios/test_replies.py": {
        "test_every_answer_ends_once_whatever_happens_to_its_chat": "embedded",
        "test_questions_in_a_row_are_answered_one_after_another_and_each_place_is_told": "embedded",
        "test_who_comes_in_the_middle_gets_the_text_so_far": "embedded",
    },
    "scenarios/test_several_assistants.py": {
        "test_a_chat_of_its_own_gets_another_and_what_is_open_keeps_its_writer": "embedded",
        "test_an_assistant_is_made_changed_and_gone": "embedded",
        "test_how_an_assistant_takes_part_in_a_group": "embedded",
        "test_one_that_is_deleted_stops_and_its_chats_stand": "embedded",
        "test_two_are_asked_by_name_and_only_by_who_may": "embedded",
    },
    "scenarios/test_socket.py": {
        "test_hello_three_ways_and_what_is_no_hello": "embedded",
    },
    "scenarios/test_start.py": {"test_a_pooler_before_the_database": "session"},
    "scenarios/test_terminal.py": {
        "test_messages_are_edited_deleted_answered_and_the_chat_is_managed": "embedded",
        "test_older_pages_other_chats_and_leaving": "embedded",
        "test_two_people_and_the_assistant_talk_in_terminals": "embedded",
        "test_who_chooses_so_stays_signed_in": "real",
    },
    "scenarios/test_text_rules.py": {"test_a_disabled_account_is_a_person_still": "embedded"},
    "web/test_lasting.py": {"test_an_answer_goes_on_through_twenty_reloads": "embedded"},
    "web/test_safe.py": {"test_hostile_messages_and_names": "real"},
    "web/test_talk.py": {
        "test_a_muted_person_s_box_is_off_and_says_until_when": "real",
        "test_the_assistant_streams_is_stopped_and_asked_again": "embedded",
        "test_two_people_talk_edit_react_and_delete": "embedded",
        "test_who_is_removed_sees_nothing_of_it_any_more": "real",
    },
}


def is_long(path: str, test: str, case: str) -> bool:
    """path: below tests. test: its function. case: as pytest names it, its parts joined by -."""
    return LONG[path][test] in case.split("-")
