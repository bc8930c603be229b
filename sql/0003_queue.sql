-- The queue by agent and tenant, so that a claim goes from tenant to tenant without passing over the tasks of any: those
-- at the head of their sessions first, since only they can run. It also serves to count what waits.
create index task_queue on task (is_head, agent, tenant, priority desc, id) where status = 'pending';
drop index task_claimable;
